"""Rewards by a regular expression, bounded in time."""

from __future__ import annotations

import regex

from lm.errors import InputError

LONGEST = 100_000
"""The most characters of a response that is matched."""


def pattern_reward(response: str, truth: str, *, timeout_s: float = 0.5) -> dict[str, float]:
    """Return the reward 1 for a response that the regular expression `truth` matches as a whole, 0 for any other.

    A match that takes longer than `timeout_s` is none: a pattern may need time exponential in the response, which a
    model can find. `.` matches line ends.

    Raises:
        InputError: the truth is not a regular expression.
    """
    try:
        pattern = regex.compile(truth, regex.DOTALL)
    except regex.error as error:
        raise InputError(f"truth: {truth!r:.80} is not a regular expression ({error})") from None
    try:
        matches = len(response) <= LONGEST and pattern.fullmatch(response, timeout=timeout_s) is not None
    except TimeoutError:
        matches = False
    return {"reward": float(matches), "format_reward": float(matches), "answer_reward": float(matches)}
