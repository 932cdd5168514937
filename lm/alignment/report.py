"""The report at the end of the chain: every stage answers the same held-out problems, side by side.

`report.json` has the figures and samples, `report.md` the same to read. What a stage has published in its own
`evaluation.json` is taken from there; answers, and preferences by log-probability, are measured here, alike for all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lm.alignment.config import ReportConfig
from lm.alignment.dpo import encode_pairs
from lm.alignment.lengths import LengthLimit
from lm.alignment.policy import Policy, Report, silent
from lm.alignment.preferences import all_pair_log_probs, preference_rates
from lm.alignment.report_page import render_report
from lm.chat.records import Preference, Problem, of_split, read_records
from lm.code_version import code_digest
from lm.configuration import to_mapping
from lm.errors import InputError
from lm.evaluation.answers import JudgedAnswer, evaluate_answers
from lm.evaluation.perplexity import evaluate_perplexity
from lm.model import choose_device, load_model
from lm.progress import track
from lm.storage import Artifact, find_whole, fingerprint, open_artifact, publish, sha256_of, write_json
from lm.tokenizer import Tokenizer

KIND = "evaluation_report"


def write_evaluation_report(
    models: Mapping[str, Path],
    tokenizer: Path,
    problems: Path,
    output: Path,
    *,
    preferences: Path | None = None,
    shards: Path | None = None,
    config: ReportConfig | None = None,
    report: Report = silent,
) -> Artifact:
    """Measure the stages in the order of `models` (name to artifact) and publish the report at `output`.

    Raises:
        InputError: no models, an input is missing or damaged, or a model was trained with another tokenizer.
    """
    if not models:
        raise InputError("models: none given, expected at least one stage's artifact")
    config = config or ReportConfig()
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    stages = {name: open_artifact(path) for name, path in models.items()}
    loaded = Tokenizer.load(tokenizer)
    corpus = None if shards is None else open_artifact(shards)
    inputs = {
        "tokenizer": loaded.digest,
        "problems": sha256_of(problems),
        **{f"model {name}": artifact.digest for name, artifact in stages.items()},
        **({} if corpus is None else {"shards": corpus.digest}),
        **({} if preferences is None else {"preferences": sha256_of(preferences)}),
    }
    settings, code = to_mapping(config), code_digest(write_evaluation_report)
    if (whole := find_whole(output, fingerprint(KIND, settings, inputs, code))) is not None:
        return whole
    heldout = of_split(read_records(Problem, problems), "heldout", problems)[: config.num_problems]
    rows, answers = [], {}
    for name, artifact in track(stages.items(), "evaluation", total=len(stages), unit="model"):
        policy = Policy(load_model(artifact, choose_device(config.device), loaded.digest)[0].eval(), loaded)
        rates, answers[name] = evaluate_answers(
            policy.model, loaded, heldout, max_new_tokens=config.max_new_tokens, seed=config.seed
        )
        rows.append({"stage": name, **rates, **_figures(policy, artifact, corpus, preferences)})
        report({"stage": name, "verified_rate": rates["greedy"]["verified_rate"]})
    facts = {"num_problems": len(heldout), "stages": rows, "samples": _samples(answers, config.num_shown)}
    with publish(output, kind=KIND, config=settings, inputs=inputs, code=code) as publication:
        write_json(publication.path / "report.json", facts)
        (publication.path / "report.md").write_text(render_report(facts), encoding="utf-8")
        publication.summary.update({row["stage"]: _headline(row) for row in rows})
    return publication.artifact


def _figures(policy: Policy, artifact: Artifact, corpus: Artifact | None, preferences: Path | None) -> dict[str, Any]:
    """Return the figures of one stage beside its answers."""
    stored = stored_evaluation(artifact)
    return {
        "parameters": policy.model.num_parameters,
        "stored": stored,
        "bits_per_byte": _bits_per_byte(policy, stored, corpus),
        "prefers_chosen": None if preferences is None else _prefers_chosen(policy, preferences),
    }


def stored_evaluation(artifact: Artifact) -> dict[str, Any]:
    """The stage's own `evaluation.json`, or nothing where it has none.

    Raises:
        InputError: the file is not a JSON object.
    """
    if "evaluation.json" not in artifact.names():
        return {}
    path = artifact.file("evaluation.json")
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: a {type(value).__name__}, expected an object")
    return value


def _bits_per_byte(policy: Policy, stored: Mapping[str, Any], corpus: Artifact | None) -> float | None:
    if isinstance(stored.get("bits_per_byte"), float):
        return float(stored["bits_per_byte"])
    return None if corpus is None else evaluate_perplexity(policy.model, corpus).bits_per_byte


def _prefers_chosen(policy: Policy, preferences: Path) -> float:
    heldout = of_split(read_records(Preference, preferences), "heldout", preferences)
    limit = LengthLimit(policy.model.config.context_length + 1, "skip")
    scores = all_pair_log_probs(policy.model, encode_pairs(policy.tokenizer, heldout, preferences, limit))
    return preference_rates(scores, scores)["log_prob_accuracy"]


def _samples(answers: Mapping[str, Sequence[JudgedAnswer]], num_shown: int) -> list[dict[str, Any]]:
    """One entry a problem: what each stage answered."""
    by_problem = zip(*answers.values(), strict=True)
    return [
        {
            "prompt": group[0].problem.prompt,
            "expected": group[0].problem.answer,
            "responses": [
                {"stage": stage, "text": answer.response, "verified": answer.is_verified}
                for stage, answer in zip(answers, group, strict=True)
            ],
        }
        for group, _ in zip(by_problem, range(num_shown), strict=False)
    ]


def _headline(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "bits_per_byte": row["bits_per_byte"],
        "prefers_chosen": row["prefers_chosen"],
        **{
            f"{way}_{rate}": row[way][rate]
            for way in ("greedy", "sampled")
            for rate in ("well_formed_rate", "verified_rate")
        },
    }
