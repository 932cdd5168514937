"""Ids to bytes: the tokens' bytes one after the other, in one compiled pass."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lm.tokenizer.compiled import compiled
from lm.tokenizer.words import address, load_half, load_word, store_word

_WORD = 8
_FEW = 1 << 12  # up to so many ids, room for the longest tokens costs less than to look first


class Joiner:
    """The bytes of every token in one array, and where each ends; an id that stands for nothing has none."""

    def __init__(self, token_bytes: Sequence[bytes | None]) -> None:
        tokens = [token or b"" for token in token_bytes]
        self._pool = np.frombuffer(b"".join(tokens) + bytes(_WORD), np.uint8)
        self._ends = np.fromiter(itertools.accumulate(map(len, tokens), initial=0), np.int64, len(tokens) + 1)
        self._longest = max(map(len, tokens))

    def join(self, ids: Sequence[int] | npt.NDArray[Any]) -> npt.NDArray[np.uint8] | None:
        """The bytes that `ids` stand for; None where one stands for nothing."""
        halves = _as_halves(ids)
        if halves is None:
            return None
        size = halves.size * self._longest if halves.size <= _FEW else _joined_size(halves, self._ends)
        if size < 0:
            return None
        out = np.empty(size + _WORD, np.uint8)
        size = _join(halves, self._ends, self._pool, out)
        return None if size < 0 else out[:size]


def _as_halves(ids: Sequence[int] | npt.NDArray[Any]) -> npt.NDArray[np.uint32] | None:
    """The ids as uint32; None where one is no such number."""
    if not isinstance(ids, np.ndarray):
        try:
            return np.frombuffer(array("I", ids), np.uint32)  # three times as fast as NumPy turns a list into an array
        except OverflowError:
            return None
    if ids.size and ids.dtype != np.uint32 and (ids.min() < 0 or ids.max() >= 2**32):
        return None
    return ids.astype(np.uint32)


@compiled
def _joined_size(ids: Any, ends: Any) -> int:
    """How many bytes the ids stand for; -1 where one stands for nothing."""
    bounds, first, num_tokens = address(ends), address(ids), np.uint32(ends.size - 1)
    size: Any = 0
    for k in range(ids.size):
        token = load_half(first + 4 * k)
        if token >= num_tokens:
            return -1
        bound = bounds + 8 * np.intp(token)
        size += np.intp(load_word(bound + 8)) - np.intp(load_word(bound))
    return size


@compiled
def _join(ids: Any, ends: Any, pool: Any, out: Any) -> int:
    """Copy the tokens, eight bytes at a time; return their size, -1 where an id stands for nothing.

    `pool` and `out` have eight bytes more than their tokens.
    """
    source, place, bounds, first = address(pool), address(out), address(ends), address(ids)
    num_tokens = np.uint32(ends.size - 1)
    for k in range(ids.size):
        token = load_half(first + 4 * k)
        if token >= num_tokens:
            return -1
        bound = bounds + 8 * np.intp(token)
        start = np.intp(load_word(bound))
        length = np.intp(load_word(bound + 8)) - start
        if length == 0:
            return -1
        for done in range(0, length, _WORD):
            store_word(place + done, load_word(source + start + done))
        place += length
    return place - address(out)
