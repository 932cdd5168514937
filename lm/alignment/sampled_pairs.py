"""Preference pairs of a model's own samples: a right and a wrong answer to one problem, drawn by the model itself.

Pairs of one's own samples differ in what the policy really does, so preference optimization moves what it will draw;
pairs written by hand alone mostly teach to tell the hands apart. They join the pairs that the data has, before them.
Where no verifier can say what is right, a judging model compares two samples (`lm.alignment.judged_pairs`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lm.alignment.config import PairsConfig
from lm.alignment.data import COMPARISONS, PREFERENCES
from lm.alignment.judged_pairs import OwnPairs, judged_pairs
from lm.alignment.policy import Report, silent
from lm.artifact import Artifact
from lm.chat.records import Instruction, Preference, Problem, of_split, read_records
from lm.code_version import code_digest
from lm.configuration import to_mapping
from lm.errors import InputError
from lm.evaluation.answers import JudgedAnswer, answer_problems, answer_rates
from lm.inference.engine import GenerationConfig
from lm.model import TransformerLM, choose_device, load_model
from lm.storage import find_whole, fingerprint, open_artifact, publish, sha256_of
from lm.tokenizer import Tokenizer
from lm.training.metrics import work_folder

KIND = "preference_pairs"


def write_preference_pairs(
    config: PairsConfig,
    *,
    model: Path,
    tokenizer: Path,
    problems: Path,
    preferences: Path,
    output: Path,
    instructions: Path | None = None,
    report: Report = silent,
) -> Artifact:
    """Publish `preferences.jsonl`: pairs of the model's own samples to training prompts, then those of `preferences`.

    With the source `verifier` a problem gives a pair where some sample is right and another ends its turn with a wrong
    answer; with `judge` where the judge prefers one of two samples in both orders. The summary has `num_problems`,
    `num_own_pairs`, `num_given_pairs`, and the samples' `verified_rate` or the counts of `judge_counts`.
    `comparisons.jsonl` has a judge's comparisons with both verdicts.

    Args:
        instructions: read where `config.prompts` names them.

    Raises:
        InputError: a bad line, no training prompts, or another tokenizer's model.
        UnreachableError, ConfigurationError, Interrupted: as `lm.alignment.judge.comparisons.judge`; run again, and no
            question is sent twice.
    """
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    if config.prompts == "instructions" and instructions is None:
        raise InputError("instructions: no file given, expected one, since prompts is instructions")
    policy, vocabulary = open_artifact(model), Tokenizer.load(tokenizer)
    given = read_records(Preference, preferences)
    inputs = {
        "model": policy.digest,
        "tokenizer": vocabulary.digest,
        "problems": sha256_of(problems),
        "preferences": sha256_of(preferences),
        **({} if instructions is None else {"instructions": sha256_of(instructions)}),
    }
    settings, code = to_mapping(config), code_digest(write_preference_pairs)
    if (whole := find_whole(output, fingerprint(KIND, settings, inputs, code))) is not None:
        return whole
    trained = of_split(read_records(Problem, problems), "train", problems)[: config.num_problems]
    network, _ = load_model(policy, choose_device(config.device), vocabulary.digest)
    asked: Sequence[Problem | Instruction]
    if config.prompts == "instructions" and instructions is not None:
        asked = of_split(read_records(Instruction, instructions), "train", instructions)[: config.num_problems]
    else:
        asked = trained
    if config.source == "judge":
        own = judged_pairs(network, vocabulary, asked, config, work_folder(output), policy.digest)
    else:
        own = verified_pairs(network, vocabulary, trained, config)
    with publish(output, kind=KIND, config=settings, inputs=inputs, code=code) as publication:
        (publication.path / PREFERENCES).write_text(
            _lines(own.pairs) + preferences.read_text("utf-8"), encoding="utf-8"
        )
        read_records(Preference, publication.path / PREFERENCES)  # what DPO would refuse is not published
        if own.comparisons:
            (publication.path / COMPARISONS).write_text(_lines(own.comparisons), encoding="utf-8")
        counts = {"num_problems": len(asked), "num_own_pairs": len(own.pairs), "num_given_pairs": len(given)}
        publication.summary.update(counts | dict(own.summary))
    report({"message": f"{len(own.pairs)} pairs from own samples for {len(asked)} prompts, {len(given)} given pairs"})
    return publication.artifact


def verified_pairs(
    model: TransformerLM, tokenizer: Tokenizer, problems: Sequence[Problem], config: PairsConfig
) -> OwnPairs:
    """Return a pair for each problem of which the model drew a right and a wrong answer."""
    answers = answer_problems(
        model.eval(),
        tokenizer,
        problems,
        GenerationConfig(max_new_tokens=config.max_new_tokens, temperature=config.temperature),
        num_samples=config.num_samples,
        seed=config.seed,
    )
    size = config.num_samples
    groups = [answers[start : start + size] for start in range(0, len(answers), size)]
    pairs = [pair for pair in map(own_pair, groups) if pair is not None]
    return OwnPairs(pairs, {"verified_rate": answer_rates(answers).verified_rate}, [])


def own_pair(answers: Sequence[JudgedAnswer]) -> dict[str, str] | None:
    """Return the first right and the first wrong of the answers to one problem as a training pair; None without both.

    A sample that was cut off is not taken: as an example it would end where it did not. Nor is one without any text,
    which no preference may be.
    """
    ended = [answer for answer in answers if answer.finished and answer.response]
    right = next((answer.response for answer in ended if answer.is_verified), None)
    wrong = next((answer.response for answer in ended if not answer.is_verified), None)
    if right is None or wrong is None:
        return None
    problem = answers[0].problem
    sides = {"prompt": problem.prompt, "chosen": right, "rejected": wrong}
    return {"id": f"own-{problem.id}", **sides, "split": "train"}


def _lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
