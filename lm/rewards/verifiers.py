"""Verifiers by name: reward functions made of a parser and a comparison.

| name | answer | compared |
|---|---|---|
| answer_line | the last line `#### n` | as integers |
| last_number | the last number, as GSM8K is scored | exactly, by `mathematics` |
| boxed | `\\boxed{…}` | exactly, by `mathematics` |
| think_answer | `<think>…</think> <answer>…</answer>` | exactly, by `mathematics` |
| choice | a letter A to D | as letters |
| pattern | the whole response | with the truth as a regular expression |
| format | `<think>…</think> <answer>…</answer>` | not at all |

`lm.rewards.code` verifies programs; it is not among them, since its truth is not a text.
"""

from __future__ import annotations

from collections.abc import Callable

from lm.rewards.answer_line import answer_line_reward
from lm.rewards.functions import RewardFunction
from lm.rewards.mathematics import is_equivalent
from lm.rewards.parsers import boxed_answer, chosen_letter, last_number, think_answer
from lm.rewards.pattern import pattern_reward


def verifier(parse: Callable[[str], str | None], is_right: Callable[[str, str], bool]) -> RewardFunction:
    """Return the reward function that is 1 where `is_right(parse(response), truth)`.

    Its `format_reward` is 1 where an answer was found, right or wrong.
    """

    def reward_fn(response: str, truth: str) -> dict[str, float]:
        answer = parse(response)
        right = answer is not None and is_right(answer, truth)
        return {"reward": float(right), "format_reward": float(answer is not None), "answer_reward": float(right)}

    return reward_fn


def format_reward(response: str, truth: str = "") -> dict[str, float]:
    """Return the reward 1 for a response of the form `<think>…</think> <answer>…</answer>`, whatever its answer."""
    found = float(think_answer(response) is not None)
    return {"reward": found, "format_reward": found, "answer_reward": 0.0}


VERIFIERS: dict[str, RewardFunction] = {
    "answer_line": answer_line_reward,
    "last_number": verifier(last_number, is_equivalent),
    "boxed": verifier(boxed_answer, is_equivalent),
    "think_answer": verifier(think_answer, is_equivalent),
    "choice": verifier(chosen_letter, lambda answer, truth: answer == truth.strip().strip("().").upper()),
    "pattern": pattern_reward,
    "format": format_reward,
}
"""The reward functions by name."""
