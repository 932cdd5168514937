"""The report at the end of the chain: every stage answers the same held-out problems, side by side.

`report.json` has the figures and samples, `report.md` the same to read. Answers, their lengths, the KL from the first
model, and preferences by log-probability are measured here, on the same prompts for all stages; the alignment tax is
taken from the control, and what a stage has published in its own `evaluation.json` from there.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lm.alignment.config import ReportConfig
from lm.alignment.dpo import encode_pairs
from lm.alignment.lengths import LengthLimit
from lm.alignment.policy import Policy, Report, silent
from lm.alignment.preferences import all_pair_log_probs, preference_rates
from lm.alignment.report_page import render_report
from lm.alignment.rollouts import roll_out
from lm.alignment.sequences import SequenceBatch, batch_log_probs
from lm.alignment.validation import judging
from lm.chat.records import Preference, Problem, of_split, read_records
from lm.code_version import code_digest
from lm.configuration import to_mapping
from lm.errors import InputError
from lm.evaluation.answers import JudgedAnswer, answer_problems, answer_rates
from lm.evaluation.perplexity import evaluate_perplexity
from lm.inference.engine import GenerationConfig
from lm.model import TransformerLM, choose_device, load_model
from lm.progress import track
from lm.rewards.answer_line import answer_line_reward
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
    control: Path | None = None,
    config: ReportConfig | None = None,
    report: Report = silent,
) -> Artifact:
    """Measure the stages in the order of `models` (name to artifact) and publish the report at `output`.

    `control` is the artifact of `lm.alignment.control.train_control` over these stages.

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
    taxes = None if control is None else open_artifact(control)
    inputs = {
        "tokenizer": loaded.digest,
        "problems": sha256_of(problems),
        **{f"model {name}": artifact.digest for name, artifact in stages.items()},
        **({} if corpus is None else {"shards": corpus.digest}),
        **({} if taxes is None else {"control": taxes.digest}),
        **({} if preferences is None else {"preferences": sha256_of(preferences)}),
    }
    settings, code = to_mapping(config), code_digest(write_evaluation_report)
    if (whole := find_whole(output, fingerprint(KIND, settings, inputs, code))) is not None:
        return whole
    records = of_split(read_records(Problem, problems), "heldout", problems)
    heldout = judging(records, stages.values(), problems)[: config.num_problems]
    rows, answers, first = [], {}, None
    for name, artifact in track(stages.items(), "evaluation", total=len(stages), unit="model"):
        policy = Policy(load_model(artifact, choose_device(config.device), loaded.digest)[0].eval(), loaded)
        first = first or policy.model
        measured, answers[name] = answer_figures(policy, first, heldout, config)
        tax = None if taxes is None or name not in taxes.summary else taxes.summary[name]["tax"]
        rows.append({"stage": name, **measured, **_figures(policy, artifact, corpus, preferences), "tax": tax})
        report({"stage": name, "verified_rate": measured["greedy"]["verified_rate"]})
    against = config.win_rate_against if config.win_rate_against in answers else None
    for row in rows:
        row |= win_rate(answers[row["stage"]], None if against is None else answers[against])
    facts = {
        "win_rate_against": against,
        "num_problems": len(heldout),
        "num_pairs": None if preferences is None else len(_held_pairs(preferences)),
        "stages": rows,
        "gains": _gains(answers),
        "samples": _samples(answers, config.num_shown),
    }
    with publish(output, kind=KIND, config=settings, inputs=inputs, code=code) as publication:
        write_json(publication.path / "report.json", facts)
        (publication.path / "report.md").write_text(render_report(facts), encoding="utf-8")
        publication.summary.update({row["stage"]: _headline(row) for row in rows} | {"gains": facts["gains"]})
    return publication.artifact


def answer_figures(
    policy: Policy, first: TransformerLM, problems: Sequence[Problem], config: ReportConfig
) -> tuple[dict[str, Any], list[JudgedAnswer]]:
    """Return the figures of a policy's answers to the problems, and its greedy answers.

    Besides the rates of greedy answers and of one sample per problem at temperature 1: `response_tokens`, the mean
    length of the samples, and `kl_from_first`, the mean of log π − log π_first over their tokens, in nats.
    """
    settings = {"max_new_tokens": config.max_new_tokens}
    greedy = answer_problems(policy.model, policy.tokenizer, problems, GenerationConfig(**settings, temperature=0.0))
    drawn = roll_out(
        policy.model,
        policy.tokenizer,
        problems,
        GenerationConfig(**settings),
        group_size=1,
        reward_fn=answer_line_reward,
        seed=config.seed,
    )
    num_tokens = drawn.batch.response_mask.sum().item()
    anchor = _log_probs(first, drawn.batch)
    figures = {
        "greedy": asdict(answer_rates(greedy)),
        "sampled": asdict(answer_rates(drawn.answers)),
        "response_tokens": num_tokens / len(problems),
        "kl_from_first": (drawn.log_probs - anchor).double().sum().item() / num_tokens,
    }
    return figures, greedy


@torch.no_grad()
def _log_probs(model: TransformerLM, batch: SequenceBatch, rows_at_once: int = 64) -> Float[Tensor, "rows targets"]:
    """Return the response tokens' log-probabilities under a model, a few rows at a time."""
    found = torch.zeros(batch.response_mask.shape, device=batch.ids.device)
    for rows in torch.arange(len(batch.ids), device=batch.ids.device).split(rows_at_once):
        part = batch.select(rows)
        found[rows, : part.response_mask.shape[1]] = batch_log_probs(model, part)
    return found


def _gains(answers: Mapping[str, Sequence[JudgedAnswer]]) -> list[dict[str, Any]]:
    """Return what each stage gains over each one before: points of verified greedy answers to the same problems.

    The standard error is that of the mean of the paired differences; `error_removed` is the share of the wrong answers
    before that the gain makes up.
    """
    gains = []
    for before, after in itertools.combinations(answers, 2):
        right = [[float(answer.is_verified) for answer in answers[name]] for name in (before, after)]
        changes = [now - then for then, now in zip(*right, strict=True)]
        wrong = 1.0 - fmean(right[0])
        error = stdev(changes) / math.sqrt(len(changes)) if len(changes) > 1 else 0.0
        removed = fmean(changes) / wrong if wrong else None
        gains.append(
            {"from": before, "to": after, "gain": fmean(changes), "standard_error": error, "error_removed": removed}
        )
    return gains


def win_rate(answers: Sequence[JudgedAnswer], others: Sequence[JudgedAnswer] | None) -> dict[str, float | None]:
    """Return the share of prompts on which answers have a higher reward than the `others`, and its standard error.

    The reward is the verifier's. Equal rewards count half, so a model against itself has 0.5. None without others.
    """
    if others is None:
        return {"win_rate": None, "win_standard_error": None}
    pairs = zip(answers, others, strict=True)
    wins = [0.5 + 0.5 * (float(ours.is_verified) - float(theirs.is_verified)) for ours, theirs in pairs]
    error = stdev(wins) / math.sqrt(len(wins)) if len(wins) > 1 else 0.0
    return {"win_rate": fmean(wins), "win_standard_error": error}


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
    """Return the stage's own `evaluation.json`, or nothing where it has none.

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


def _held_pairs(preferences: Path) -> list[Preference]:
    return of_split(read_records(Preference, preferences), "heldout", preferences)


def _prefers_chosen(policy: Policy, preferences: Path) -> float:
    heldout = _held_pairs(preferences)
    limit = LengthLimit(policy.model.config.context_length + 1, "skip")
    scores = all_pair_log_probs(policy.model, encode_pairs(policy.tokenizer, heldout, preferences, limit))
    return preference_rates(scores, scores)["log_prob_accuracy"]


def _samples(answers: Mapping[str, Sequence[JudgedAnswer]], num_shown: int) -> list[dict[str, Any]]:
    """Return one entry a problem: what each stage answered."""
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
        "tax": row["tax"],
        "response_tokens": row["response_tokens"],
        "kl_from_first": row["kl_from_first"],
        "win_rate": row["win_rate"],
        "win_standard_error": row["win_standard_error"],
        "greedy_standard_error": row["greedy"]["verified_standard_error"],
        **{
            f"{way}_{rate}": row[way][rate]
            for way in ("greedy", "sampled")
            for rate in ("well_formed_rate", "verified_rate")
        },
    }
