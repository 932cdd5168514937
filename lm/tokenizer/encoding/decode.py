"""Decoding: the bytes of tokens joined in one compiled pass.

Documents are often short, so the cost of a call matters. The compiled function takes numbers only, which numba passes
several times as fast as arrays, and each thread has a buffer of its own for the result.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lm.compiled import compiled
from lm.tokenizer.raw_memory import load_half, load_word, store_word

_WORD = 8
_SLACK = 3 * _WORD  # bytes that may be read or written beyond the last
_FIRST_ROOM, _KEPT_ROOM = 1 << 16, 1 << 20  # bytes that a thread reserves at first, and keeps at most
_BYTE = array("B", [0])
_HALF = np.uint64(32)
_LENGTH_MASK = np.uint64(0xFFFFFFFF)


class Joiner:
    """The bytes of all tokens in one array, and the offset and length of each; ids without a token have length 0."""

    def __init__(self, token_bytes: Sequence[bytes | None]) -> None:
        tokens = [token or b"" for token in token_bytes]
        lengths = np.fromiter(map(len, tokens), np.uint64, len(tokens))
        self._pool = np.frombuffer(b"".join(tokens) + bytes(_SLACK), np.uint8)
        self._spans = (np.cumsum(lengths) - lengths) << _HALF | lengths
        self._directory = np.array([self._spans.ctypes.data, len(tokens), self._pool.ctypes.data], np.int64)
        self._tables = int(self._directory.ctypes.data)
        self._own = threading.local()

    def join(self, ids: Iterable[int] | npt.NDArray[Any]) -> memoryview | None:
        """Return the bytes of `ids`, valid until the same thread joins again; None where an id has no token."""
        try:
            if type(ids) is list:
                halves = array("I")
                halves.fromlist(ids)  # faster than the array made of the list at once, or by NumPy
            else:
                halves = _as_halves(ids)
        except OverflowError:
            return None
        first, count = halves.buffer_info()
        try:
            place, room, shown = self._own.room
        except AttributeError:
            place, room, shown = self._make_room(_FIRST_ROOM)
        size = _join(first, count, self._tables, place, room)
        if size > room:
            place, room, shown = self._make_room(size)
            _join(first, count, self._tables, place, room)
        joined = None if size < 0 else shown[:size]
        if room > _KEPT_ROOM:
            del self._own.room  # a long text's buffer is not kept, and lives as long as a view of it
        return joined

    def _make_room(self, size: int) -> tuple[int, int, memoryview]:
        """Reserve `size` bytes for this thread; return their address, their number and a view of them."""
        out = _BYTE * (size + _SLACK)
        self._own.room = out.buffer_info()[0], size, memoryview(out)
        made: tuple[int, int, memoryview] = self._own.room
        return made


def _as_halves(ids: Iterable[int] | npt.NDArray[Any]) -> array[int]:
    """Return the ids as numbers of four bytes.

    Raises:
        OverflowError: an id does not fit four bytes.
    """
    if not isinstance(ids, np.ndarray):
        return array("I", ids)
    if ids.size and ids.dtype != np.uint32 and (ids.min() < 0 or ids.max() >= 2**32):
        raise OverflowError("an id does not fit four bytes")
    return array("I", ids.astype(np.uint32, copy=False).tobytes())


@compiled
def _join(first: int, count: int, tables: int, out: int, room: int) -> int:
    """Copy the tokens to the address `out`, up to `room` bytes; return the size of all, -1 where an id has no token.

    Two words of a token are copied at a time, so up to `_SLACK` bytes more are read from `pool` and written to `out`.
    """
    spans, num_tokens, pool = (
        np.intp(load_word(tables)),
        np.intp(load_word(tables + _WORD)),
        np.intp(load_word(tables + 2 * _WORD)),
    )
    size: Any = 0
    for k in range(count):
        token = np.intp(load_half(first + 4 * k))
        if token >= num_tokens:
            return -1
        span = load_word(spans + _WORD * token)
        length = np.intp(span & _LENGTH_MASK)
        if length == 0:
            return -1
        if size + length <= room:
            source, place = pool + np.intp(span >> _HALF), out + size
            store_word(place, load_word(source))
            store_word(place + _WORD, load_word(source + _WORD))
            for done in range(2 * _WORD, length, _WORD):
                store_word(place + done, load_word(source + done))
        size += length
    return size
