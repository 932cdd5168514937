"""Spans of personal data in a text, and runs of digits, which most kinds contain."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

Span = tuple[int, int]
"""The start and the end of a passage, in characters."""

SPACES = " \u00a0\u2007\u2009\u202f"
DASHES = "\\-\u2010-\u2015\u2212"
SEPARATORS = f"[{SPACES}{DASHES}./()·•]"
"""What writers put between the digits of one number: spaces, dashes and dots as typed and as typeset."""
SEPARATOR_CHARACTERS = "".join(re.findall(SEPARATORS, "".join(map(chr, range(0x2300)))))
"""The same, one after the other."""

_RUN = re.compile(rf"[0-9](?:[0-9{SEPARATORS[1:-1]}]*[0-9])?")


def digit_runs(text: str) -> list[Span]:
    """Return the longest stretches of ASCII digits and separators, each from its first digit to its last."""
    return [match.span() for match in _RUN.finditer(text)]


def without_overlaps(found: Sequence[Span], taken: Sequence[Span]) -> list[Span]:
    """Return the spans of `found` that overlap none of `taken`, which are in order and disjoint."""
    return [span for span in found if last_before(taken, span[1]) <= span[0]] if taken else list(found)


def outside(text: str, runs: Sequence[Span], taken: Sequence[Span]) -> list[Span]:
    """Return the digit runs of `text` where nothing is taken; one that is taken in its middle becomes two."""
    found: list[Span] = []
    for start, stop in runs:
        if last_before(taken, stop) <= start:
            found.append((start, stop))
            continue
        place = max(0, bisect_left(taken, (start + 1, 0)) - 1)
        if taken[place][0] <= start and stop <= taken[place][1]:
            continue
        while start < stop:
            first, last = taken[place] if place < len(taken) else (stop, stop)
            found += [match.span() for match in _RUN.finditer(text, start, max(start, min(first, stop)))]
            start, place = max(start, last), place + 1
    return found


def last_before(taken: Sequence[Span], stop: int) -> int:
    """Return the end of the last of `taken` that begins before `stop`."""
    place = bisect_left(taken, (stop, 0))
    return taken[place - 1][1] if place else -1


def replaced(text: str, masks: Sequence[tuple[Span, str]]) -> str:
    """Return `text` with each span, none of which overlaps another, replaced by its mask."""
    pieces = []
    position = 0
    for (start, stop), mask in sorted(masks):
        pieces += [text[position:start], mask]
        position = stop
    return "".join([*pieces, text[position:]])
