"""Verifiable rewards: a grammar of integer answers; no text is ever evaluated.

An answer ends in a line `#### <number>`: ASCII digits, an optional sign, optional thousands commas, at most 18
digits, in a line of at most 64 characters. Everything else, whatever it would compute, is not an answer. Work is
linear in the length of the text.
"""

from __future__ import annotations

import re

from lm.errors import InputError

_LINE_CHARACTERS = 64
_MARKER = "####"
_NUMBER = re.compile(r"[+-]?([0-9]{1,18}|[0-9]{1,3}(,[0-9]{3}){1,5})")


def parse_answer(text: str) -> int | None:
    """Return the integer in the last line `#### <number>` of `text`, or None. Spaces and line ends after the number are
    allowed, other text is not."""
    whole = text.rstrip(" \r\n")
    line = whole[whole.rfind("\n") + 1 :]
    if len(line) > _LINE_CHARACTERS or not line.startswith(_MARKER):
        return None
    number = line.removeprefix(_MARKER).strip(" ")
    return int(number.replace(",", "")) if _NUMBER.fullmatch(number) else None


def is_well_formed(text: str, finished: bool) -> bool:
    """Return whether a response ends as agreed: the answer's line, then the end-of-turn token (`finished`)."""
    return finished and parse_answer(text) is not None


def answer_line_reward(response: str, truth: str, *, format_reward: float = 0.0) -> dict[str, float]:
    """Return the rewards of a response that ended its turn: 1 for the right answer, `format_reward` for a wrong one in
    the agreed form, 0 for any other.

    Raises:
        InputError: the truth is not an integer.
    """
    if re.fullmatch(r"[+-]?[0-9]{1,18}", truth) is None:
        raise InputError(f"truth: {truth!r:.80}, expected an integer")
    answer = parse_answer(response)
    is_right = answer == int(truth)
    reward = 1.0 if is_right else format_reward if answer is not None else 0.0
    return {"reward": reward, "format_reward": float(answer is not None), "answer_reward": float(is_right)}
