"""The merge loop: one pre-token to ids, by merging the lowest-ranked pair of neighbours until none is left.

A short pre-token of n bytes is merged by a search for the lowest rank, O(n²), and a long one with a heap, O(n log n).
The tables (`merge_tables`) are given by the address of their directory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lm.compiled import compiled
from lm.tokenizer.raw_memory import load_byte, load_half, load_word, mix

SHORT = 96
"""Bytes from which on the heap is faster than the search."""
NO_RANK = np.uint32(0xFFFFFFFF)
"""In place of a rank, or of an id: there is none."""
NO_PAIR = np.uint64(0xFFFFFFFFFFFFFFFF)
"""No entry of the table of pairs, since no merge has the highest rank."""
ID_BITS, RANK_BITS, HALF = np.uint64(21), np.uint64(22), np.uint64(32)
_RANK_MASK = np.uint64((1 << 22) - 1)
_PLACE_BITS = np.uint64(42)  # an entry of the heap is `rank << 42 | place`
_PLACE_MASK = np.uint64((1 << 42) - 1)

BYTE_IDS, BYTE_PAIRS, PAIRS, MERGED_IDS, MASKS, WHOLE, WHOLE_BYTES, PAIRS_MASK, WHOLE_MASK = range(0, 72, 8)
"""Offsets in the directory: the tables in the order of `merge_tables.Tables`, then the masks of the two hash tables."""
WHOLE_ROW_BYTES = 32
"""The size of a row of the table of whole tokens: hash, offset of the bytes, length, id + 1 (0: a free row)."""


@compiled
def table(directory: int, field: int) -> Any:
    """Return the address of a table, or the mask of a hash table."""
    return np.intp(load_word(directory + field))


@compiled
def rank_of(pairs: int, mask: int, left: Any, right: Any) -> Any:
    """Return the rank of a pair, `NO_RANK` where it is never merged. `pairs` is the table's address."""
    pair = np.uint64(left) << ID_BITS | np.uint64(right)
    slot: Any = np.intp(mix(np.uint64(0), pair) >> HALF) & mask
    entry = load_word(pairs + 8 * slot)
    while entry >> RANK_BITS != pair:
        if entry == NO_PAIR:
            return NO_RANK
        slot = (slot + 1) & mask
        entry = load_word(pairs + 8 * slot)
    return np.uint32(entry & _RANK_MASK)


@compiled
def whole_token(text: int, length: int, tables: int) -> Any:
    """Return the id of a pre-token that is one token whatever the merges, else `NO_RANK`."""
    mask: Any = table(tables, WHOLE_MASK)
    if mask == 0:
        return NO_RANK
    rows, pool, hashed = table(tables, WHOLE), table(tables, WHOLE_BYTES), hash_of_bytes(text, length)
    slot: Any = np.intp(hashed >> HALF) & mask
    while True:
        row = rows + WHOLE_ROW_BYTES * slot
        token = load_word(row + 24)
        if token == 0:
            return NO_RANK
        if load_word(row) == hashed and load_word(row + 16) == np.uint64(length):
            other, k = pool + np.intp(load_word(row + 8)), 0
            while k < length and load_byte(text + k) == load_byte(other + k):
                k += 1
            if k == length:
                return np.uint32(token - np.uint64(1))
        slot = (slot + 1) & mask


@compiled
def hash_of_bytes(text: int, length: int) -> Any:
    """Return a hash of `length` bytes; its high bits are the best."""
    hashed: Any = np.uint64(length)
    for k in range(length):
        hashed = mix(hashed, np.uint64(load_byte(text + k)))
    return hashed


@compiled
def merge(text: int, length: int, tables: int, ranks: Any, short: Any, out: Any, num_ids: int) -> int:
    if length > SHORT:
        whole = whole_token(text, length, tables)
        if whole != NO_RANK:
            out[num_ids] = whole
            return num_ids + 1
        return _merge_long(text, length, tables, out, num_ids)
    count = merge_short(text, length, tables, ranks, short)
    for k in range(count):
        out[num_ids + k] = short[k]
    return num_ids + count


@compiled
def merge_short(text: int, length: int, tables: int, ranks: Any, out: Any) -> int:
    """Merge the lowest-ranked of all neighbours each time; `ranks[j]` is the rank of the pair at j and j + 1.

    Writes the ids into `out` and returns their number.
    """
    whole = whole_token(text, length, tables)
    if whole != NO_RANK:
        out[0] = whole
        return 1
    pairs, mask = table(tables, PAIRS), table(tables, PAIRS_MASK)
    byte_ids, byte_pairs, merged_ids = (
        table(tables, BYTE_IDS),
        table(tables, BYTE_PAIRS),
        table(tables, MERGED_IDS),
    )
    before = 0
    for j in range(length):
        byte = load_byte(text + j)
        out[j] = load_half(byte_ids + 4 * byte)
        if j:
            ranks[j - 1] = load_half(byte_pairs + 4 * (before << 8 | byte))
        before = byte
    count = length
    while count > 1:
        best, lowest = 0, ranks[0]
        for j in range(1, count - 1):
            if ranks[j] < lowest:
                best, lowest = j, ranks[j]
        if lowest == NO_RANK:
            break
        count -= 1
        out[best] = load_half(merged_ids + 4 * np.intp(lowest))
        for j in range(best + 1, count):
            out[j] = out[j + 1]
            ranks[j - 1] = ranks[j]
        if best:
            ranks[best - 1] = rank_of(pairs, mask, out[best - 1], out[best])
        if best + 1 < count:
            ranks[best] = rank_of(pairs, mask, out[best], out[best + 1])
    return count


@compiled
def _merge_long(text: int, length: int, tables: int, out: Any, num_ids: int) -> int:
    """Merge with a heap of `rank, place` and links between neighbours.

    An entry is stale where the pair at its place has changed since. Equal ranks are taken from the left.
    """
    pairs, mask = table(tables, PAIRS), table(tables, PAIRS_MASK)
    byte_ids, byte_pairs, merged_ids = (
        table(tables, BYTE_IDS),
        table(tables, BYTE_PAIRS),
        table(tables, MERGED_IDS),
    )
    ids, ranks = np.empty(length, np.uint32), np.full(length, NO_RANK)
    following, previous = np.empty(length, np.int64), np.empty(length, np.int64)
    heap, heap_size = np.empty(2 * length, np.uint64), 0
    for j in range(length):
        ids[j], following[j], previous[j] = load_half(byte_ids + 4 * load_byte(text + j)), j + 1, j - 1
    for j in range(length - 1):
        ranks[j] = load_half(byte_pairs + 4 * (load_byte(text + j) << 8 | load_byte(text + j + 1)))
        if ranks[j] != NO_RANK:
            heap_size = _push(heap, heap_size, np.uint64(ranks[j]) << _PLACE_BITS | np.uint64(j))
    while heap_size:
        lowest, place = np.uint32(heap[0] >> _PLACE_BITS), np.intp(heap[0] & _PLACE_MASK)
        heap_size = _pop(heap, heap_size)
        if ranks[place] != lowest:
            continue
        absorbed = following[place]
        after = following[absorbed]
        ids[place], ranks[absorbed], following[place] = load_half(merged_ids + 4 * np.intp(lowest)), NO_RANK, after
        ranks[place] = NO_RANK
        if after < length:
            previous[after] = place
            ranks[place] = rank_of(pairs, mask, ids[place], ids[after])
            if ranks[place] != NO_RANK:
                heap_size = _push(heap, heap_size, np.uint64(ranks[place]) << _PLACE_BITS | np.uint64(place))
        before = previous[place]
        if before >= 0:
            ranks[before] = rank_of(pairs, mask, ids[before], ids[place])
            if ranks[before] != NO_RANK:
                heap_size = _push(heap, heap_size, np.uint64(ranks[before]) << _PLACE_BITS | np.uint64(before))
    place = np.intp(0)
    while place < length:
        out[num_ids] = ids[place]
        num_ids += 1
        place = following[place]
    return num_ids


@compiled
def _push(heap: Any, size: int, entry: Any) -> int:
    """Add an entry to a heap of `size`, smallest first; return the size then."""
    child = size
    while child:
        parent = (child - 1) >> 1
        if heap[parent] <= entry:
            break
        heap[child] = heap[parent]
        child = parent
    heap[child] = entry
    return size + 1


@compiled
def _pop(heap: Any, size: int) -> int:
    """Drop the smallest entry, `heap[0]`; return the size left."""
    size -= 1
    entry = heap[size]
    parent = 0
    while 2 * parent + 1 < size:
        child = 2 * parent + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if entry <= heap[child]:
            break
        heap[parent] = heap[child]
        parent = child
    heap[parent] = entry
    return size
