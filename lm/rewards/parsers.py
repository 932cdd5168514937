r"""Answers out of responses: the last number, `#### n`, `\boxed{…}`, a letter, `<think>…</think> <answer>…</answer>`.

Each parser returns the text of the answer, or None where the response has none or more than one. Nothing is evaluated,
and work is linear in the length of the response.
"""

from __future__ import annotations

import re

from lm.rewards.answer_line import parse_answer

LONGEST_ANSWER = 256
"""The most characters of an answer."""

_NUMBER = re.compile(
    r"(?<![0-9.,])-?[0-9]{1,3}(?:,[0-9]{3}){1,6}(?:\.[0-9]{1,30})?(?![0-9,])|-?[0-9]{1,30}(?:\.[0-9]{1,30})?"
)
_THINK_ANSWER = ("<think>", "</think>", "<answer>", "</answer>")
_LETTER = re.compile(r"\(?([A-D])\)?[.:]?")
_STATED = re.compile(r"(?i:\banswer(?: is)?[: ]\s{0,4}(?:option |choice )?)\(?([A-D])\)?(?![A-Za-z0-9'])")
_ANOTHER = re.compile(r"\s{0,4}(?:,|/|or|and)\s{0,4}\(?[A-D]\b")


def last_number(response: str) -> str | None:
    """Return the last number of the response without its commas, as GSM8K is scored.

    A sign counts where no digit stands before it. Digits are ASCII.
    """
    found = None
    for match in _NUMBER.finditer(response):
        found = match[0] if not _is_minus_between(response, match) else match[0][1:]
    return None if found is None or len(found) > LONGEST_ANSWER else found.replace(",", "")


def marked_answer(response: str) -> str | None:
    """Return the integer of the last line `#### n`; `answer_line.parse_answer` has the form."""
    answer = parse_answer(response)
    return None if answer is None else str(answer)


def boxed_answer(response: str) -> str | None:
    r"""Return what stands in `\boxed{…}` or `\fbox{…}`, braces balanced.

    Boxes with different contents give None: a response must not try them all.
    """
    found: set[str] = set()
    for match in re.finditer(r"\\(?:boxed|fbox)\s{0,4}\{", response):
        end = _closing_brace(response, match.end())
        if end is None or len(found) > 1:
            return None
        found.add(response[match.end() : end].strip())
    return found.pop() if len(found) == 1 else None


def chosen_letter(response: str) -> str | None:
    """Return the letter A to D that the response gives: alone, or in `answer is B` or `Answer: (B)`, stated once.

    Different letters in such statements, or one beside another as in `A or B`, give None.
    """
    whole = response.strip()
    if (alone := _LETTER.fullmatch(whole)) is not None:
        return alone[1]
    stated = list(_STATED.finditer(response))
    letters = {match[1] for match in stated}
    if len(letters) != 1 or any(_ANOTHER.match(response, match.end()) for match in stated):
        return None
    return letters.pop()


def think_answer(response: str) -> str | None:
    """Return what stands between `<answer>` and `</answer>`, after a `<think>` that was closed before.

    Each of the four tags stands exactly once, in this order, with nothing but blanks between the two parts and behind.
    """
    if any(response.count(tag) != 1 for tag in _THINK_ANSWER):
        return None
    begin, end, answer_begin, answer_end = (response.index(tag) for tag in _THINK_ANSWER)
    between = response[end + len("</think>") : answer_begin]
    behind = response[answer_end + len("</answer>") :]
    if not begin < end < answer_begin < answer_end or between.strip() or behind.strip():
        return None
    answer = response[answer_begin + len("<answer>") : answer_end].strip()
    return answer if 0 < len(answer) <= LONGEST_ANSWER else None


def _closing_brace(text: str, start: int) -> int | None:
    """Return the place of the brace that closes the one before `start`, within the longest answer."""
    depth = 1
    for place in range(start, min(len(text), start + LONGEST_ANSWER + 1)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    return None


def _is_minus_between(text: str, match: re.Match[str]) -> bool:
    """Return whether the number's sign subtracts, as in `5-3`."""
    return match[0].startswith("-") and match.start() > 0 and (text[match.start() - 1].isalnum())
