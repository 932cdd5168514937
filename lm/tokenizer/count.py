"""How often each distinct pre-token occurs: a hash table over byte strings that grows as it fills.

Memory follows the number of distinct pre-tokens, not the size of the text. Each thread fills a table of its own, and
the tables are added together at the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from lm.errors import InputError
from lm.progress import bar
from lm.tokenizer.pretokenize import pattern_code, scan
from lm.tokenizer.unicode_tables import kinds
from lm.tokenizer.words import mix, read_word

_compiled = numba.njit(cache=True, nogil=True)
_BLOCK = 1 << 14
_GROUP_BYTES = 1 << 20


class PreTokenCounts:
    """Distinct byte strings and their counts, in the order first seen."""

    def __init__(self) -> None:
        self.size = 0
        self._table = np.full(1 << 13, -1, np.int64)
        self._hashes = np.empty(1 << 12, np.uint64)
        self._counts = np.empty(1 << 12, np.int64)
        self._ends = np.zeros((1 << 12) + 1, np.int64)
        self._bytes = np.empty(1 << 16, np.uint8)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """How often each string occurs."""
        return self._counts[: self.size]

    @property
    def borders(self) -> npt.NDArray[np.int64]:
        """String i lies at `borders[i] : borders[i + 1]` of `bytes`."""
        return self._ends[: self.size + 1]

    @property
    def bytes(self) -> npt.NDArray[np.uint8]:
        """All strings, one after the other."""
        return self._bytes[: self._ends[self.size]]

    def add(
        self,
        data: npt.NDArray[np.uint8],
        start: int,
        ends: npt.NDArray[np.int64],
        weights: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """Count consecutive strings of `data`, the first at `start`; each once, or as often as `weights` says."""
        if weights is None:
            weights = np.ones(ends.size, np.int64)
        done = 0
        while done < ends.size:
            length = int(ends[done]) - start
            if self.size == self._counts.size:
                self._grow_entries()
            if int(self._ends[self.size]) + length > self._bytes.size:
                self._bytes = _enlarged(self._bytes, length)
            arrays = (self._table, self._hashes, self._counts, self._ends, self._bytes)
            done, self.size = _count(data, start, ends, weights, done, *arrays, self.size)
            start = int(ends[done - 1]) if done else start

    def add_all(self, other: PreTokenCounts) -> None:
        """Add the counts of another table."""
        self.add(other.bytes, 0, other.borders[1:], other.counts)

    def _grow_entries(self) -> None:
        self._hashes, self._counts = _enlarged(self._hashes), _enlarged(self._counts)
        self._ends = _enlarged(self._ends)
        self._table = np.full(2 * self._table.size, -1, np.int64)
        _fill_table(self._table, self._hashes, self.size)


def count_pre_tokens(texts: Iterable[Sequence[str]], pattern: str, num_threads: int) -> PreTokenCounts:
    """Count the pre-tokens of groups of texts, with `num_threads` threads; the result is the same for any number.

    Raises:
        InputError: a text holds a lone surrogate.
    """
    tables: SimpleQueue[PreTokenCounts] = SimpleQueue()
    for _ in range(num_threads):
        tables.put(PreTokenCounts())

    def count(group: Sequence[str]) -> int:
        table = tables.get()
        try:
            return _count_group(table, group, pattern_code(pattern))
        finally:
            tables.put(table)

    with ThreadPoolExecutor(num_threads) as pool, bar("count pre-tokens", unit="B") as progress:
        for size in _bounded_map(pool, count, texts, 2 * num_threads):
            progress.update(size)
    total = tables.get()
    while not tables.empty():
        total.add_all(tables.get())
    return total


def group_texts(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in lists of about a megabyte."""
    group: list[str] = []
    size = 0
    for text in texts:
        group.append(text)
        size += len(text)
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _count_group(table: PreTokenCounts, group: Sequence[str], pattern: int) -> int:
    try:
        parts = [text.encode() for text in group]
    except UnicodeEncodeError as error:
        raise InputError(
            f"text holds the lone surrogate U+{ord(error.object[error.start]):04X}, which is not Unicode"
        ) from None
    data = np.frombuffer(b"".join(parts), np.uint8)
    boundaries = np.fromiter(itertools.accumulate(map(len, parts), initial=0), np.int64, len(parts) + 1)
    start, ends = 0, np.empty(_BLOCK, np.int64)
    while start < data.size:
        num = scan(data, boundaries, start, pattern, kinds(), ends)
        table.add(data, start, ends[:num])
        start = int(ends[num - 1])
    return data.size


def _bounded_map(pool: ThreadPoolExecutor, function: Any, items: Iterable[Any], limit: int) -> Iterator[Any]:
    """`map` in a pool that reads no more than `limit` items ahead."""
    waiting: list[Future[Any]] = []
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= limit:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def _enlarged(array: npt.NDArray[Any], at_least: int = 0) -> npt.NDArray[Any]:
    """A copy of twice the size (and room for `at_least` more), its new part zero."""
    larger = np.zeros(2 * array.size + at_least, array.dtype)
    larger[: array.size] = array
    return larger


@_compiled
def _fill_table(table: Any, hashes: Any, size: int) -> None:
    mask = np.intp(table.size - 1)
    for entry in range(size):
        slot = np.intp(hashes[entry] >> np.uint64(16)) & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = entry


@_compiled
def _count(
    data: Any,
    start: int,
    string_ends: Any,
    weights: Any,
    done: int,
    table: Any,
    hashes: Any,
    counts: Any,
    ends: Any,
    pool: Any,
    size: int,
) -> tuple[int, int]:
    """Count strings from number `done` on until all are counted or a new one finds no room; both numbers then."""
    text, last, mask = data.ctypes.data, data.size, np.intp(table.size - 1)
    while done < string_ends.size:
        length = string_ends[done] - start
        key = np.uint64(length)
        for offset in range(0, length, 8):
            key = mix(key, read_word(text + start + offset, min(8, length - offset), last - start - offset))
        slot = np.intp(key >> np.uint64(16)) & mask
        while table[slot] >= 0:
            entry = table[slot]
            if hashes[entry] == key and _equal(data, start, pool, ends[entry], length, ends[entry + 1] - ends[entry]):
                break
            slot = (slot + 1) & mask
        entry = table[slot]
        if entry < 0:
            if size == counts.size or ends[size] + length > pool.size:
                break
            entry, table[slot] = size, size
            hashes[entry], counts[entry], ends[entry + 1] = key, 0, ends[entry] + length
            pool[ends[entry] : ends[entry + 1]] = data[start : start + length]
            size += 1
        counts[entry] += weights[done]
        start += length
        done += 1
    return done, size


@_compiled
def _equal(data: Any, start: int, pool: Any, first: int, length: int, other_length: int) -> bool:
    if length != other_length:
        return False
    for k in range(length):  # noqa: SIM110 - a compiled loop
        if data[start + k] != pool[first + k]:
            return False
    return True
