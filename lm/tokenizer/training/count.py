"""Counts of distinct pre-tokens: a hash table over byte strings that grows as it fills.

Memory follows the number of distinct pre-tokens, not the size of the text. Each thread fills a table of its own; the
tables are added together at the end. Text of an open vocabulary (names, numbers, typing errors) brings new pre-tokens
without end. `max_pre_tokens` bounds their number: whenever there are more, the rarest are dropped until half of that
are left, and the loss is counted. This is lossy counting (Manku and Motwani 2002) with a bound on the entries instead
of the error.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from lm.compiled import compiled
from lm.progress import bar
from lm.tokenizer.pretokenizing.pretokenize import pattern_code, scan
from lm.tokenizer.pretokenizing.unicode_tables import kinds
from lm.tokenizer.raw_memory import mix, read_word
from lm.tokenizer.utf8 import utf8

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
        """Return the count of each string."""
        return self._counts[: self.size]

    @property
    def borders(self) -> npt.NDArray[np.int64]:
        """Return the borders: string i is `bytes[borders[i] : borders[i + 1]]`."""
        return self._ends[: self.size + 1]

    @property
    def bytes(self) -> npt.NDArray[np.uint8]:
        """Return all strings, one after the other."""
        return self._bytes[: self._ends[self.size]]

    def add(
        self,
        data: npt.NDArray[np.uint8],
        start: int,
        ends: npt.NDArray[np.int64],
        weights: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """Count consecutive strings of `data`, the first at `start`; each once, or by its weight."""
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

    def most_frequent(self, number: int) -> PreTokenCounts:
        """Return the `number` most frequent strings in a new table; of equally frequent ones those seen first."""
        kept = np.zeros(self.size, np.bool_)
        kept[np.argsort(-self.counts, kind="stable")[:number]] = True
        lengths = np.diff(self.borders)
        fewer = PreTokenCounts()
        fewer.add(self.bytes[np.repeat(kept, lengths)], 0, np.cumsum(lengths[kept]), self.counts[kept])
        return fewer

    def _grow_entries(self) -> None:
        self._hashes, self._counts = _enlarged(self._hashes), _enlarged(self._counts)
        self._ends = _enlarged(self._ends)
        self._table = np.full(2 * self._table.size, -1, np.int64)
        _fill_table(self._table, self._hashes, self.size)


@dataclass(slots=True)
class Counted:
    """The result of counting: the table of `size_bytes` of text, and the number of strings and of pre-tokens dropped
    from it.
    """

    counts: PreTokenCounts
    size_bytes: int = 0
    pruned_strings: int = 0
    pruned_pre_tokens: int = 0

    @property
    def num_pre_tokens(self) -> int:
        """Return the number of all pre-tokens of the text, dropped ones included."""
        return int(self.counts.counts.sum()) + self.pruned_pre_tokens

    def prune(self, at_most: int) -> None:
        """Drop the rarest strings until half of `at_most` are left, where there are more than `at_most`."""
        if self.counts.size <= at_most:
            return
        fewer = self.counts.most_frequent(at_most // 2)
        self.pruned_strings += self.counts.size - fewer.size
        self.pruned_pre_tokens += int(self.counts.counts.sum() - fewer.counts.sum())
        self.counts = fewer


def count_pre_tokens(
    texts: Iterable[Sequence[str]], pattern: str, num_threads: int, max_pre_tokens: int | None = None
) -> Counted:
    """Count the pre-tokens of groups of texts, with `num_threads` threads; the result is the same for any number.

    With `max_pre_tokens` at most so many strings stay counted from one group to the next, and what is lost depends on
    the order of the texts.

    Raises:
        InputError: a text holds a lone surrogate.
    """
    count_all = _count_apart if max_pre_tokens is None else functools.partial(_count_in_order, at_most=max_pre_tokens)
    with ThreadPoolExecutor(num_threads) as pool, bar("count pre-tokens", unit="B") as progress:
        return count_all(texts, pattern_code(pattern), pool, num_threads, progress)


def _count_apart(
    texts: Iterable[Sequence[str]], pattern: int, pool: ThreadPoolExecutor, num_threads: int, progress: Any
) -> Counted:
    """Count with a table for each thread; the tables are added at the end."""
    tables: SimpleQueue[PreTokenCounts] = SimpleQueue()
    for _ in range(num_threads):
        tables.put(PreTokenCounts())

    def count(group: Sequence[str]) -> int:
        table = tables.get()
        try:
            return _count_group(table, group, pattern)
        finally:
            tables.put(table)

    size_bytes = 0
    for size in _bounded_map(pool, count, texts, 2 * num_threads):
        size_bytes += size
        progress.update(size)
    total = tables.get()
    while not tables.empty():
        total.add_all(tables.get())
    return Counted(total, size_bytes)


def _count_in_order(
    texts: Iterable[Sequence[str]],
    pattern: int,
    pool: ThreadPoolExecutor,
    num_threads: int,
    progress: Any,
    at_most: int,
) -> Counted:
    """Count with a table for each group; tables are added, and the sum pruned, in the order of the groups."""

    def count(group: Sequence[str]) -> tuple[PreTokenCounts, int]:
        table = PreTokenCounts()
        return table, _count_group(table, group, pattern)

    counted = Counted(PreTokenCounts())
    for table, size in _bounded_map(pool, count, texts, 2 * num_threads):
        counted.counts.add_all(table)
        counted.size_bytes += size
        counted.prune(at_most)
        progress.update(size)
    return counted


def group_texts(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield texts in lists of about a megabyte."""
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
    parts = list(map(utf8, group))
    data = np.frombuffer(b"".join(parts), np.uint8)
    boundaries = np.fromiter(itertools.accumulate(map(len, parts), initial=0), np.int64, len(parts) + 1)
    start, ends = 0, np.empty(_BLOCK, np.int64)
    while start < data.size:
        num = scan(data, boundaries, start, pattern, kinds(), ends)
        table.add(data, start, ends[:num])
        start = int(ends[num - 1])
    return data.size


def _bounded_map(pool: ThreadPoolExecutor, function: Any, items: Iterable[Any], limit: int) -> Iterator[Any]:
    """Map in a pool that reads at most `limit` items ahead."""
    waiting: list[Future[Any]] = []
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= limit:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def _enlarged(array: npt.NDArray[Any], at_least: int = 0) -> npt.NDArray[Any]:
    """Return a copy of twice the size, and `at_least` more, with zeros in the new part."""
    larger = np.zeros(2 * array.size + at_least, array.dtype)
    larger[: array.size] = array
    return larger


@compiled
def _fill_table(table: Any, hashes: Any, size: int) -> None:
    mask = np.intp(table.size - 1)
    for entry in range(size):
        slot = np.intp(hashes[entry] >> np.uint64(16)) & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = entry


@compiled
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
    """Count strings from number `done` on until all are counted or a new one has no room; return the number counted and
    of entries.
    """
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


@compiled
def _equal(data: Any, start: int, pool: Any, first: int, length: int, other_length: int) -> bool:
    if length != other_length:
        return False
    for k in range(length):  # noqa: SIM110 - a compiled loop
        if data[start + k] != pool[first + k]:
            return False
    return True
