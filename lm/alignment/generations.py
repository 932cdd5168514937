"""The generation log of a stage: every held-out answer with its truth, reward, entropy and length.

A line of `samples.jsonl` has `prompt`, `expected` (the truth), `response`, `answer`, `well_formed`, `verified`,
`reward`, `entropy` (the mean over the answer's tokens of the entropy of what the model might have written there, in
nats, at temperature 1) and `num_tokens`, the stop token included.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from lm.alignment.log_probs import response_log_probs
from lm.alignment.sequences import pad
from lm.chat.template import ChatExample, encode_prompt
from lm.evaluation.answers import JudgedAnswer
from lm.model import TransformerLM
from lm.tokenizer import Tokenizer

_MEANS = ("reward", "entropy", "num_tokens")


def write_generations(
    path: Path,
    model: TransformerLM,
    tokenizer: Tokenizer,
    answers: Sequence[JudgedAnswer],
    format_reward: float = 0.0,
) -> dict[str, dict[str, Any]]:
    """Write the log of these answers of a model; return the means of right and of wrong answers apart.

    The reward is 1 for a verified answer, and `format_reward` for a wrong one that is well-formed.
    """
    rows = [
        {
            **answer.as_row(),
            "reward": _reward(answer, format_reward),
            "entropy": entropy,
            "num_tokens": len(answer.token_ids),
        }
        for answer, entropy in zip(answers, mean_entropies(model, tokenizer, answers), strict=True)
    ]
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return generation_means(rows)


def generation_means(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return `num_answers` and the mean reward, entropy and length of `right` and of `wrong` rows; None without any."""
    found: dict[str, dict[str, Any]] = {}
    for name, verified in (("right", True), ("wrong", False)):
        chosen = [row for row in rows if row["verified"] is verified]
        means = {each: fmean(row[each] for row in chosen) if chosen else None for each in _MEANS}
        found[name] = {"num_answers": len(chosen), **means}
    return found


def mean_entropies(
    model: TransformerLM, tokenizer: Tokenizer, answers: Sequence[JudgedAnswer], rows_at_once: int = 64
) -> Iterator[float]:
    """Yield the mean entropy of the model over the tokens of each answer, in nats; answers without a token have 0."""
    examples = []
    for answer in answers:
        prompt = encode_prompt(tokenizer, answer.problem.prompt)
        examples.append(ChatExample([*prompt, *answer.token_ids], len(prompt)))
    model.eval()
    for start in range(0, len(examples), rows_at_once):
        batch = pad(examples[start : start + rows_at_once], model.device)
        with torch.no_grad():
            entropy = response_log_probs(
                model,
                batch.ids[:, :-1],
                batch.targets,
                mask=batch.response_mask,
                counted=batch.input_mask(),
                return_entropy=True,
            )["token_entropy"]
        yield from (entropy.double().sum(dim=1) / batch.response_mask.sum(dim=1).clamp(min=1)).tolist()


def _reward(answer: JudgedAnswer, format_reward: float) -> float:
    return 1.0 if answer.is_verified else format_reward if answer.is_well_formed else 0.0
