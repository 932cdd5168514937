"""The first look at a text: its runs of digits, and whether the rest may hold an e-mail or IPv6 address.

Most searches for personal data begin at a run of digits, and most texts have no address at all, so that this one walk
decides how little is left to search. `look_kernel` is the same, compiled, for the texts of a batch.
"""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

import pyarrow as pa

from pipelines.documents.text_buffers import text_buffers
from pipelines.filters.pii.spans import Span, digit_runs

_AT = re.compile(r"@|[(\[] ?[Aa][Tt]")
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")


class FirstLook(NamedTuple):
    """The digit runs of a text, in order; whether it has an `@` or "(at", "[at" in its place; and whether it has two
    colons with nothing but a group of an IPv6 address between them.
    """

    runs: list[Span]
    has_at: bool
    has_colons: bool


def first_look(text: str) -> FirstLook:
    """Return what the first look at one text finds."""
    return FirstLook(digit_runs(text), _AT.search(text) is not None, _COLONS.search(text) is not None)


def first_looks(texts: pa.Array) -> list[FirstLook]:
    """Return `first_look` of every text of a column."""
    from pipelines.filters.pii.look_kernel import walk  # it imports numba, which is slow to import

    starts, stops, borders, has_at, has_colons = walk(*text_buffers(texts))
    runs, ends = list(zip(starts.tolist(), stops.tolist(), strict=True)), borders.tolist()
    by_text = (runs[first:last] for first, last in itertools.pairwise(ends))
    return list(map(FirstLook, by_text, has_at.tolist(), has_colons.tolist()))
