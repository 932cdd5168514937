"""Pre-tokens to ids: the lowest-ranked pair of neighbours is merged until none is left, and the answer remembered.

A text is cut in blocks of pre-tokens (`pretokenize.scan`); each is looked up in a cache of short pre-tokens and merged
where it is new. A pre-token of n bytes is merged by searching for the lowest rank, O(n²), where it is short, and with a
heap, O(n log n), where it is long. The cache has a fixed size: a new pre-token takes the place of an older one.

`reference.encode` says the same in plain Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from lm.tokenizer.pretokenize import pattern_code, scan
from lm.tokenizer.unicode_tables import kinds
from lm.tokenizer.words import load_word, mix, read_word

Ids = npt.NDArray[np.uint32]
_compiled = numba.njit(cache=True, nogil=True)

_BLOCK = 1 << 14  # pre-tokens cut at a time: their bytes stay in the processor's cache until they are merged
_SHORT = 96  # bytes from which on the heap is faster than the search
_CACHED_BYTES, _CACHED_IDS = 15, 3
_CACHE_PAIRS = 1 << 16
_NO_PAIR = np.uint64(0xFFFFFFFFFFFFFFFF)
_LOW_HALF = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


class Encoder:
    """The tables by which one tokenizer encodes. Threads may share it; each call borrows a cache of its own."""

    def __init__(self, ids: Mapping[bytes, int], merges: Sequence[tuple[bytes, bytes]], pattern: str) -> None:
        """`ids` holds every single byte and all parts and results of `merges`."""
        self._pattern = pattern_code(pattern)
        self._byte_ids = np.array([ids[bytes([byte])] for byte in range(256)], np.uint32)
        parts = [(ids[left], ids[right], ids[left + right]) for left, right in merges]
        self._pairs = _pair_table(np.array(parts, np.uint64).reshape(-1, 3))
        self._caches: list[npt.NDArray[np.uint64]] = []

    def encode(
        self, data: npt.NDArray[np.uint8], boundaries: npt.NDArray[np.int64]
    ) -> tuple[Ids, npt.NDArray[np.int64]]:
        """The ids of several documents, one after the other, and the border of each in them.

        `data` is valid UTF-8; document i lies at `boundaries[i] : boundaries[i + 1]`, the first at 0.
        """
        data = data.view()
        data.flags.writeable = False  # numba compiles anew for arrays that can be written
        out = np.empty(data.size + _CACHED_IDS, np.uint32)
        borders = np.zeros(boundaries.size, np.int64)
        num_ids = 0
        with self._borrowed_cache() as cache:
            for start, ends in self.blocks(data, boundaries):
                token_ends = np.empty(ends.size, np.int64)
                num_ids = merge_block(data, start, ends, self._byte_ids, self._pairs, cache, out, num_ids, token_ends)
                _mark_borders(boundaries, ends, token_ends, borders)
        return out[:num_ids].copy(), np.maximum.accumulate(borders)

    def blocks(
        self, data: npt.NDArray[np.uint8], boundaries: npt.NDArray[np.int64]
    ) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """The pre-tokens of the documents, a block at a time: where the block starts, and the end of each."""
        start, ends = 0, np.empty(_BLOCK, np.int64)
        while start < data.size:
            count = scan(data, boundaries, start, self._pattern, kinds(), ends)
            yield start, ends[:count]
            start = int(ends[count - 1])

    @contextmanager
    def _borrowed_cache(self) -> Iterator[npt.NDArray[np.uint64]]:
        """A cache that no other thread uses meanwhile; popping and appending are atomic."""
        try:
            cache = self._caches.pop()
        except IndexError:
            cache = np.zeros((2 * _CACHE_PAIRS, 4), np.uint64)
        try:
            yield cache
        finally:
            self._caches.append(cache)


def _mark_borders(boundaries: Any, ends: Any, token_ends: Any, borders: Any) -> None:
    """Set the borders in ids of the documents that end within this block."""
    first, last = np.searchsorted(boundaries, [ends[0], ends[-1]], side="left")
    last = min(int(last), boundaries.size - 1)
    inside = np.arange(first, last + 1)
    place = np.searchsorted(ends, boundaries[inside], side="left")
    found = place < ends.size
    borders[inside[found]] = token_ends[place[found]]


def _pair_table(parts: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A hash table from a pair of ids to its rank and the id it becomes, at most a quarter full."""
    table = np.full((1 << max(4, int(4 * len(parts)).bit_length()), 2), _NO_PAIR)
    _fill_pair_table(table, parts)
    return table


@_compiled
def _fill_pair_table(table: Any, parts: Any) -> None:
    mask = np.intp(table.shape[0] - 1)
    for rank in range(parts.shape[0]):
        pair = parts[rank, 0] << _SHIFT | parts[rank, 1]
        slot = np.intp(mix(np.uint64(0), pair) >> _SHIFT) & mask
        while table[slot, 0] != _NO_PAIR and table[slot, 0] != pair:
            slot = (slot + 1) & mask
        if table[slot, 0] == _NO_PAIR:
            table[slot, 0] = pair
            table[slot, 1] = np.uint64(rank) << _SHIFT | parts[rank, 2]


@_compiled
def _find_pair(table: Any, mask: Any, left: Any, right: Any) -> Any:
    """`rank << 32 | merged id` of a pair, `_NO_PAIR` where it is never merged. `table` is an address."""
    pair = np.uint64(left) << _SHIFT | np.uint64(right)
    slot: Any = np.intp(mix(np.uint64(0), pair) >> _SHIFT) & mask
    key = load_word(table + 16 * slot)
    while key != pair:
        if key == _NO_PAIR:
            return _NO_PAIR
        slot = (slot + 1) & mask
        key = load_word(table + 16 * slot)
    return load_word(table + 16 * slot + 8)


@_compiled
def merge_block(
    data: Any, start: Any, ends: Any, byte_ids: Any, pairs: Any, cache: Any, out: Any, num_ids: Any, token_ends: Any
) -> Any:
    """Write the ids of consecutive pre-tokens into `out` from `num_ids` on; return the number of ids then in it.

    `token_ends[k]` becomes that number after pre-token k. `out` has room for one id a byte and three more. Row r of the
    cache is a key of 15 bytes and their length, then three ids and their number; a pre-token lies in one of two rows.
    """
    ids, found = np.empty(_SHORT, np.uint32), np.empty(_SHORT, np.uint64)
    text, mask = data.ctypes.data, np.intp(cache.shape[0] - 1)
    for k in range(ends.size):
        end = ends[k]
        length = end - start
        if length > _CACHED_BYTES:
            num_ids = _merge(data, start, end, byte_ids, pairs, ids, found, out, num_ids)
        else:
            low = read_word(text + start, min(length, 8), data.size - start)
            high = np.uint64(length) << np.uint64(56)
            if length > 8:
                high |= read_word(text + start + 8, length - 8, data.size - start - 8)
            row = np.intp(mix(mix(np.uint64(0), low), high) >> _SHIFT) & mask
            if cache[row, 0] != low or cache[row, 1] != high:
                row ^= 1
                if cache[row, 0] != low or cache[row, 1] != high:
                    first = num_ids
                    num_ids = _merge(data, start, end, byte_ids, pairs, ids, found, out, num_ids)
                    if num_ids - first <= _CACHED_IDS:
                        _remember(cache, row, low, high, out, first, num_ids - first)
                    start = end
                    token_ends[k] = num_ids
                    continue
            out[num_ids] = cache[row, 2] & _LOW_HALF
            out[num_ids + 1] = cache[row, 2] >> _SHIFT
            out[num_ids + 2] = cache[row, 3] & _LOW_HALF
            num_ids += np.intp(cache[row, 3] >> _SHIFT)
        start = end
        token_ends[k] = num_ids
    return num_ids


@_compiled
def _remember(cache: Any, row: Any, low: Any, high: Any, out: Any, first: int, count: int) -> None:
    """Put a pre-token in the other row than `row`, whose own moves here and pushes out what was here before."""
    for column in range(4):
        cache[row, column] = cache[row ^ 1, column]
    row ^= 1
    cache[row, 0], cache[row, 1] = low, high
    second = np.uint64(out[first + 1]) if count > 1 else np.uint64(0)
    third = np.uint64(out[first + 2]) if count > 2 else np.uint64(0)
    cache[row, 2] = np.uint64(out[first]) | second << _SHIFT
    cache[row, 3] = third | np.uint64(count) << _SHIFT


@_compiled
def _merge(
    data: Any, start: int, end: int, byte_ids: Any, pairs: Any, ids: Any, found: Any, out: Any, num_ids: int
) -> int:
    if end - start > _SHORT:
        return _merge_long(data, start, end, byte_ids, pairs, out, num_ids)
    return _merge_short(data, start, end, byte_ids, pairs, ids, found, out, num_ids)


@_compiled
def _merge_short(
    data: Any, start: int, end: int, byte_ids: Any, pairs: Any, ids: Any, found: Any, out: Any, num_ids: int
) -> int:
    """Merge by searching all neighbours for the lowest rank each time. `found[j]` is the pair at j and j + 1."""
    table, mask, count = pairs.ctypes.data, np.intp(pairs.shape[0] - 1), end - start
    for j in range(count):
        ids[j] = byte_ids[data[start + j]]
        if j:
            found[j - 1] = _find_pair(table, mask, ids[j - 1], ids[j])
    while count > 1:
        best, lowest = 0, found[0]
        for j in range(1, count - 1):
            if found[j] < lowest:
                best, lowest = j, found[j]
        if lowest == _NO_PAIR:
            break
        count -= 1
        ids[best] = np.uint32(lowest & _LOW_HALF)
        for j in range(best + 1, count):
            ids[j] = ids[j + 1]
            found[j - 1] = found[j]
        if best:
            found[best - 1] = _find_pair(table, mask, ids[best - 1], ids[best])
        if best + 1 < count:
            found[best] = _find_pair(table, mask, ids[best], ids[best + 1])
    for j in range(count):
        out[num_ids + j] = ids[j]
    return num_ids + count


@_compiled
def _merge_long(data: Any, start: int, end: int, byte_ids: Any, pairs: Any, out: Any, num_ids: int) -> int:
    """Merge with a heap of `rank, place` and links between neighbours.

    An entry is stale where the pair at its place has changed since. Equal ranks are taken from the left.
    """
    table, mask, size = pairs.ctypes.data, np.intp(pairs.shape[0] - 1), end - start
    ids, found = np.empty(size, np.uint32), np.full(size, _NO_PAIR)
    following, previous = np.empty(size, np.int64), np.empty(size, np.int64)
    heap, heap_size = np.empty((2 * size, 2), np.uint64), 0
    for j in range(size):
        ids[j], following[j], previous[j] = byte_ids[data[start + j]], j + 1, j - 1
    for j in range(size - 1):
        found[j] = _find_pair(table, mask, ids[j], ids[j + 1])
        if found[j] != _NO_PAIR:
            heap_size = _push(heap, heap_size, found[j], j)
    while heap_size:
        lowest, place = heap[0, 0], int(heap[0, 1])
        heap_size = _pop(heap, heap_size)
        if found[place] != lowest:
            continue
        absorbed = following[place]
        after = following[absorbed]
        ids[place], found[absorbed], following[place] = np.uint32(lowest & _LOW_HALF), _NO_PAIR, after
        found[place] = _NO_PAIR
        if after < size:
            previous[after] = place
            found[place] = _find_pair(table, mask, ids[place], ids[after])
            if found[place] != _NO_PAIR:
                heap_size = _push(heap, heap_size, found[place], place)
        before = previous[place]
        if before >= 0:
            found[before] = _find_pair(table, mask, ids[before], ids[place])
            if found[before] != _NO_PAIR:
                heap_size = _push(heap, heap_size, found[before], before)
    place = 0
    while place < size:
        out[num_ids] = ids[place]
        num_ids += 1
        place = following[place]
    return num_ids


@_compiled
def _push(heap: Any, size: int, key: Any, place: int) -> int:
    child, place_word = size, np.uint64(place)
    while child:
        parent = (child - 1) >> 1
        if heap[parent, 0] < key or (heap[parent, 0] == key and heap[parent, 1] <= place_word):
            break
        heap[child, 0], heap[child, 1] = heap[parent, 0], heap[parent, 1]
        child = parent
    heap[child, 0], heap[child, 1] = key, place_word
    return size + 1


@_compiled
def _pop(heap: Any, size: int) -> int:
    """Drop the smallest entry, `heap[0]`; return the size left."""
    size -= 1
    key, place = heap[size, 0], heap[size, 1]
    parent = 0
    while 2 * parent + 1 < size:
        child = 2 * parent + 1
        right = child + 1
        if right < size and (
            heap[right, 0] < heap[child, 0] or (heap[right, 0] == heap[child, 0] and heap[right, 1] < heap[child, 1])
        ):
            child = right
        if key < heap[child, 0] or (key == heap[child, 0] and place <= heap[child, 1]):
            break
        heap[parent, 0], heap[parent, 1] = heap[child, 0], heap[child, 1]
        parent = child
    heap[parent, 0], heap[parent, 1] = key, place
    return size
