"""Texts as UTF-8 bytes with their borders, and batches of texts."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from lm.tokenizer.utf8 import utf8

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]

_BATCH_CHARACTERS = 1 << 18  # enough work for one call of a thread


def one_text(text: str) -> tuple[Bytes, Offsets]:
    """Return the UTF-8 bytes of a text, and its borders in them."""
    data = np.frombuffer(utf8(text), np.uint8)
    return data, np.array([0, data.size])


def many_texts(texts: Sequence[str]) -> tuple[Bytes, Offsets]:
    """Return the UTF-8 bytes of all texts, and the border of each in them."""
    try:
        parts = list(map(str.encode, texts))
    except UnicodeEncodeError:
        parts = list(map(utf8, texts))  # names the character
    boundaries = np.cumsum([0, *map(len, parts)])
    return np.frombuffer(b"".join(parts), np.uint8), boundaries


def batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield consecutive texts, `_BATCH_CHARACTERS` together or a little more."""
    ends = list(itertools.accumulate(map(len, texts)))
    first = 0
    while first < len(texts):
        given = ends[first - 1] if first else 0
        last = min(bisect_left(ends, given + _BATCH_CHARACTERS, lo=first), len(texts) - 1)
        yield texts[first : last + 1]
        first = last + 1
