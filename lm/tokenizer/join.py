"""Ids to bytes: the tokens' bytes one after the other, in one compiled pass."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from lm.tokenizer.words import load_byte

_compiled = numba.njit(cache=True, nogil=True)


class Joiner:
    """The bytes of every token in one array, and where each ends; an id that stands for nothing has none."""

    def __init__(self, token_bytes: Sequence[bytes | None]) -> None:
        tokens = [token or b"" for token in token_bytes]
        self._pool = np.frombuffer(b"".join(tokens), np.uint8)
        self._ends = np.fromiter(itertools.accumulate(map(len, tokens), initial=0), np.int64, len(tokens) + 1)
        self._lengths = np.diff(self._ends)

    def join(self, ids: npt.NDArray[Any]) -> bytes | None:
        """The bytes that `ids` stand for; None where one stands for nothing."""
        if not ids.size:
            return b""
        if ids.min() < 0 or ids.max() >= self._lengths.size:
            return None
        lengths = self._lengths[ids]
        if not lengths.all():
            return None
        out = np.empty(int(lengths.sum()), np.uint8)
        _join(ids.astype(np.int64), self._ends, self._pool, out)
        return out.tobytes()


@_compiled
def _join(ids: Any, ends: Any, pool: Any, out: Any) -> None:
    start, place = pool.ctypes.data, 0
    for token in ids:
        for k in range(ends[token], ends[token + 1]):
            out[place] = load_byte(start + k)
            place += 1
