"""Preference pairs of a model's own samples: a right and a wrong answer to one problem, drawn by the model itself.

Pairs of one's own samples differ in what the policy really does, so preference optimization moves what it will draw;
pairs written by hand alone mostly teach to tell the hands apart. They join the pairs that the data has, before them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from lm.alignment.config import PairsConfig
from lm.alignment.policy import Report, silent
from lm.artifact import Artifact
from lm.chat.records import Preference, Problem, of_split, read_records
from lm.code_version import code_digest
from lm.configuration import to_mapping
from lm.evaluation.answers import JudgedAnswer, answer_problems, answer_rates
from lm.inference.engine import GenerationConfig
from lm.model import choose_device, load_model
from lm.storage import find_whole, fingerprint, open_artifact, publish, sha256_of
from lm.tokenizer import Tokenizer

KIND = "preference_pairs"
PAIRS = "preferences.jsonl"


def write_preference_pairs(
    config: PairsConfig,
    *,
    model: Path,
    tokenizer: Path,
    problems: Path,
    preferences: Path,
    output: Path,
    report: Report = silent,
) -> Artifact:
    """Publish `preferences.jsonl`: pairs of the model's own samples to training problems, then those of `preferences`.

    A problem gives a pair where some sample is right and another ends its turn with a wrong answer. The summary has
    `num_problems`, `num_own_pairs`, `num_given_pairs` and the samples' `verified_rate`.

    Raises:
        InputError: a bad line, no training problems, or another tokenizer's model.
    """
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    policy, vocabulary = open_artifact(model), Tokenizer.load(tokenizer)
    given = read_records(Preference, preferences)
    inputs = {
        "model": policy.digest,
        "tokenizer": vocabulary.digest,
        "problems": sha256_of(problems),
        "preferences": sha256_of(preferences),
    }
    settings, code = to_mapping(config), code_digest(write_preference_pairs)
    if (whole := find_whole(output, fingerprint(KIND, settings, inputs, code))) is not None:
        return whole
    network, _ = load_model(policy, choose_device(config.device), vocabulary.digest)
    chosen = of_split(read_records(Problem, problems), "train", problems)[: config.num_problems]
    answers = answer_problems(
        network.eval(),
        vocabulary,
        chosen,
        GenerationConfig(max_new_tokens=config.max_new_tokens, temperature=config.temperature),
        num_samples=config.num_samples,
        seed=config.seed,
    )
    size = config.num_samples
    groups = [answers[start : start + size] for start in range(0, len(answers), size)]
    pairs = [pair for pair in map(own_pair, groups) if pair is not None]
    with publish(output, kind=KIND, config=settings, inputs=inputs, code=code) as publication:
        own = [json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs]
        (publication.path / PAIRS).write_text("".join(own) + preferences.read_text("utf-8"), encoding="utf-8")
        read_records(Preference, publication.path / PAIRS)  # what DPO would refuse is not published
        publication.summary.update(
            {
                "num_problems": len(chosen),
                "num_own_pairs": len(pairs),
                "num_given_pairs": len(given),
                "verified_rate": answer_rates(answers).verified_rate,
            }
        )
    report({"message": f"{len(pairs)} pairs of own samples to {len(chosen)} problems, {len(given)} given"})
    return publication.artifact


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
