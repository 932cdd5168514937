"""Pre-tokens to ids: the lowest-ranked pair of neighbours is merged until none is left, and the answer remembered.

A text is cut in blocks of pre-tokens (`pretokenize.scan`). Each is looked up in a cache of short ones, then among the
tokens that are their own encoding, and merged where it is neither. A pre-token of n bytes is merged by searching for
the lowest rank, O(n²), where it is short, and with a heap, O(n log n), where it is long. The cache has a fixed size: a
new pre-token takes the place of an older one.

`reference.encode` says the same in plain Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lm.errors import InputError
from lm.tokenizer.compiled import compiled
from lm.tokenizer.pretokenize import pattern_code, scan
from lm.tokenizer.unicode_tables import kinds
from lm.tokenizer.words import address, load_byte, load_half, load_word, mix, store_word

Ids = npt.NDArray[np.uint32]

_BLOCK = 1 << 15  # pre-tokens cut at a time: their bytes stay in the processor's cache until they are merged
_KEPT_BYTES = 1 << 21  # texts up to this size use the room for ids that the last call left
_SHORT = 96  # bytes from which on the heap is faster than the search
_CACHED_BYTES, _CACHED_IDS = 15, 3
_KEY_BYTES = 16  # the bytes and their number
_LINE_BITS = 15
_LINE_SHIFT = np.uint64(64 - _LINE_BITS)
_LINE_BYTES, _ROW_BYTES = 64, 32
_SLACK = 4  # ids that may be written beyond the last

_MAX_TOKENS = 1 << 21
_ID_BITS, _RANK_BITS = np.uint64(21), np.uint64(22)
_RANK_MASK = np.uint64((1 << 22) - 1)
_NO_RANK = np.uint32(0xFFFFFFFF)
_NO_PAIR = np.uint64(0xFFFFFFFFFFFFFFFF)  # no entry of the table of pairs, since no merge has the highest rank
_PLACE_BITS = np.uint64(42)  # an entry of the heap is `rank << 42 | place`
_PLACE_MASK = np.uint64((1 << 42) - 1)
_ONE, _HALF = np.uint64(1), np.uint64(32)


class _Workspace(NamedTuple):
    """What one call at a time uses."""

    cache: npt.NDArray[np.uint64]
    ends: npt.NDArray[np.int64]
    ids: Ids


class _Tables(NamedTuple):
    """One tokenizer's merges and tokens, as the compiled functions read them."""

    byte_ids: Ids
    """Shape (256,): the id of each byte."""
    byte_pairs: Ids
    """Shape (65536,): the rank of each pair of bytes, `_NO_RANK` where it is never merged."""
    pairs: npt.NDArray[np.uint64]
    """A hash table of `left id << 43 | right id << 22 | rank`, at most half full."""
    merged_ids: Ids
    """Shape (num_merges,): the id that the pair of each rank becomes."""
    slots: Ids
    """A hash table of rows in the next two, at most half full; `_NO_RANK` where a slot is empty."""
    keys: npt.NDArray[np.uint64]
    """Shape (tokens, 2): the key of each short token that is its own encoding."""
    key_ids: Ids
    """Its id."""
    masks: npt.NDArray[np.uint64]
    """Shape (16, 2): what keeps that many bytes of two words."""

    def directory(self) -> npt.NDArray[np.int64]:
        """Where each table lies and, behind them, the masks of the two hash tables: one argument in place of many."""
        places = [table.ctypes.data for table in self]
        return np.array([*places, self.pairs.size - 1, self.slots.size - 1], np.int64)


_BYTE_IDS, _BYTE_PAIRS, _PAIRS, _MERGED_IDS, _SLOTS, _KEYS, _KEY_IDS, _MASKS, _PAIRS_MASK, _SLOTS_MASK = range(0, 80, 8)
"""Where the directory of the tables has each."""


class Encoder:
    """The tables by which one tokenizer encodes. Threads may share it; each call borrows a workspace of its own."""

    def __init__(self, ids: Mapping[bytes, int], merges: Sequence[tuple[bytes, bytes]], pattern: str) -> None:
        """`ids` holds every single byte and all parts and results of `merges`.

        Raises:
            InputError: an id, or the number of merges, is beyond 2,097,151.
        """
        self._pattern = pattern_code(pattern)
        self._tables = _tables(ids, merges)
        self._directory = self._tables.directory()
        self._idle: list[_Workspace] = []

    def encode(
        self, data: npt.NDArray[np.uint8], boundaries: npt.NDArray[np.int64]
    ) -> tuple[Ids, npt.NDArray[np.int64]]:
        """The ids of several documents, one after the other, and the border of each in them.

        `data` is valid UTF-8; document i lies at `boundaries[i] : boundaries[i + 1]`, the first at 0.
        """
        data = data.view()
        data.flags.writeable = False  # numba compiles anew for arrays that can be written
        borders = np.zeros(boundaries.size, np.int64)
        with self._workspace() as work:
            is_kept = data.size <= _KEPT_BYTES
            out = work.ids if is_kept else np.empty(data.size + _SLACK, np.uint32)
            start = document = num_ids = 0
            while start < data.size:
                count = scan(data, boundaries, start, self._pattern, kinds(), work.ends)
                num_ids, document = merge_block(
                    data,
                    start,
                    work.ends[:count],
                    self._directory,
                    work.cache,
                    out,
                    num_ids,
                    boundaries,
                    document,
                    borders,
                )
                start = int(work.ends[count - 1])
            borders[document:] = num_ids
            return out[:num_ids].copy(), borders

    @contextmanager
    def _workspace(self) -> Iterator[_Workspace]:
        """One that no other thread uses meanwhile; popping and appending are atomic."""
        try:
            work = self._idle.pop()
        except IndexError:
            work = _new_workspace()
        try:
            yield work
        finally:
            self._idle.append(work)


def _new_workspace() -> _Workspace:
    line = _LINE_BYTES // 8
    room = np.zeros(line * ((1 << _LINE_BITS) + 1), np.uint64)
    first = -room.ctypes.data % _LINE_BYTES // 8  # a line of the processor's cache holds both rows of one of ours
    cache = room[first : first + (line << _LINE_BITS)]
    return _Workspace(cache, np.empty(_BLOCK, np.int64), np.empty(_KEPT_BYTES + _SLACK, np.uint32))


def _tables(ids: Mapping[bytes, int], merges: Sequence[tuple[bytes, bytes]]) -> _Tables:
    if max(ids.values()) >= _MAX_TOKENS or len(merges) >= _MAX_TOKENS:
        raise InputError(f"vocabulary: id {max(ids.values())} or {len(merges)} merges, expected below {_MAX_TOKENS}")
    byte_ids = np.array([ids[bytes([byte])] for byte in range(256)], np.uint32)
    parts = [(ids[left], ids[right], ids[left + right]) for left, right in merges]
    triples = np.array(parts, np.uint32).reshape(-1, 3)
    pairs = np.full(_table_size(len(merges)), _NO_PAIR)
    byte_pairs = np.full(1 << 16, _NO_RANK)
    _fill_pairs(pairs, byte_pairs, byte_ids, triples)
    short = [left + right for left, right in merges if len(left) + len(right) <= _CACHED_BYTES]
    tokens = np.frombuffer(b"".join(short), np.uint8)
    token_ends = np.cumsum([len(token) for token in short], dtype=np.int64)
    token_ids = np.array([ids[token] for token in short], np.uint32)
    keys, slots = np.empty((len(short), 2), np.uint64), np.full(_table_size(len(short)), _NO_RANK)
    tables = _Tables(byte_ids, byte_pairs, pairs, triples[:, 2].copy(), slots, keys, token_ids, _masks())
    _fill_tokens(tables.directory(), slots, keys, tokens, token_ends)
    return tables


def _masks() -> npt.NDArray[np.uint64]:
    kept = np.zeros((_KEY_BYTES, _KEY_BYTES), np.uint8)
    for length in range(_KEY_BYTES):
        kept[length, :length] = 0xFF
    return kept.view("<u8").astype(np.uint64)


def _table_size(num_entries: int) -> int:
    return 1 << max(4, int(2 * num_entries).bit_length())


@compiled
def _fill_pairs(pairs: Any, byte_pairs: Any, byte_ids: Any, triples: Any) -> None:
    mask = np.intp(pairs.size - 1)
    for rank in range(triples.shape[0]):
        pair = np.uint64(triples[rank, 0]) << _ID_BITS | np.uint64(triples[rank, 1])
        slot = np.intp(mix(np.uint64(0), pair) >> _HALF) & mask
        while pairs[slot] != _NO_PAIR and pairs[slot] >> _RANK_BITS != pair:
            slot = (slot + 1) & mask
        if pairs[slot] == _NO_PAIR:
            pairs[slot] = pair << _RANK_BITS | np.uint64(rank)
    for left in range(256):
        for right in range(256):
            byte_pairs[left << 8 | right] = _rank(address(pairs), mask, byte_ids[left], byte_ids[right])


@compiled
def _fill_tokens(directory: Any, slots: Any, keys: Any, tokens: Any, token_ends: Any) -> None:
    """Enter the tokens whose encoding is the token itself; a list of merges that nobody trained may have others."""
    ids, ranks = np.empty(_SHORT, np.uint32), np.empty(_SHORT, np.uint32)
    tables, mask = address(directory), np.intp(slots.size - 1)
    text = address(tokens)
    start = 0
    for row in range(token_ends.size):
        end = token_ends[row]
        low, high = _key(text + start, end - start, tokens.size - start, _table(tables, _MASKS))
        keys[row, 0], keys[row, 1] = low, high
        if _merge_short(text + start, end - start, tables, ranks, ids) == 1:
            slot = np.intp(_hash(low, high) >> _HALF) & mask
            while slots[slot] != _NO_RANK:
                slot = (slot + 1) & mask
            slots[slot] = row
        start = end


@compiled
def _table(tables: int, field: int) -> Any:
    return np.intp(load_word(tables + field))


@compiled
def _rank(pairs: int, mask: int, left: Any, right: Any) -> Any:
    """The rank of a pair, `_NO_RANK` where it is never merged. `pairs` is the table's address."""
    pair = np.uint64(left) << _ID_BITS | np.uint64(right)
    slot: Any = np.intp(mix(np.uint64(0), pair) >> _HALF) & mask
    entry = load_word(pairs + 8 * slot)
    while entry >> _RANK_BITS != pair:
        if entry == _NO_PAIR:
            return _NO_RANK
        slot = (slot + 1) & mask
        entry = load_word(pairs + 8 * slot)
    return np.uint32(entry & _RANK_MASK)


@compiled
def _key(text: int, length: int, readable: int, masks: int) -> tuple[Any, Any]:
    """Up to 15 bytes as two words, the length in the highest byte of the second, zeros behind the bytes."""
    low, high = np.uint64(0), np.uint64(0)
    if readable >= _KEY_BYTES:
        low, high = load_word(text) & load_word(masks + 16 * length), load_word(text + 8)
        high &= load_word(masks + 16 * length + 8)
    else:
        for k in range(min(length, 8)):
            low |= np.uint64(load_byte(text + k)) << np.uint64(8 * k)
        for k in range(8, length):
            high |= np.uint64(load_byte(text + k)) << np.uint64(8 * k - 64)
    return low, high | np.uint64(length) << np.uint64(56)


@compiled
def _hash(low: Any, high: Any) -> Any:
    """A hash of a key; its high bits are the best."""
    return low * np.uint64(0x9E3779B97F4A7C15) + high * np.uint64(0xD6E8FEB86659FD93)


@compiled
def merge_block(
    data: Any,
    start: Any,
    ends: Any,
    directory: Any,
    cache: Any,
    out: Any,
    num_ids: Any,
    boundaries: Any,
    document: Any,
    borders: Any,
) -> tuple[int, int]:
    """Write the ids of consecutive pre-tokens into `out` from `num_ids` on; return the number of ids then in it.

    `borders` of the documents from `document` on that end within are set; the first that does not is returned too.
    `out` has room for one id a byte and `_SLACK` more. A row of the cache is a key, then three ids and their number; a
    pre-token lies in one of the two rows of a line.
    """
    short, ranks = np.empty(_SHORT, np.uint32), np.empty(_SHORT, np.uint32)
    text, size, lines, ids = address(data), data.size, address(cache), address(out)
    end_of, tables = address(ends), address(directory)
    masks = _table(tables, _MASKS)
    k = 0
    while k < ends.size:
        while boundaries[document] <= start:
            borders[document] = num_ids
            document += 1
        border = boundaries[document]
        k, start, num_ids = _known(text, start, size, end_of, k, ends.size, border, masks, lines, ids, num_ids)
        if k < ends.size and start < border:
            length = ends[k] - start
            if length > _CACHED_BYTES:
                num_ids = _merge(text + start, length, tables, ranks, short, out, num_ids)
            else:
                low, high = _key(text + start, length, size - start, masks)
                line = lines + np.intp(_hash(low, high) >> _LINE_SHIFT) * _LINE_BYTES
                num_ids = _learn(text + start, length, low, high, tables, ranks, short, line, out, num_ids)
            start = ends[k]
            k += 1
    while document < boundaries.size and boundaries[document] <= start:
        borders[document] = num_ids
        document += 1
    return num_ids, document


@compiled
def _known(
    text: int,
    start: Any,
    size: int,
    ends: int,
    k: int,
    num_ends: int,
    border: int,
    masks: int,
    lines: int,
    out: int,
    num_ids: int,
) -> tuple[Any, Any, Any]:
    """Write the ids of pre-tokens from the k-th on while the cache has them, at most up to `border`.

    Returns the next pre-token, where it starts, and the number of ids. Arrays are given by their addresses. Nearly all
    of a text passes through this loop, so it has no branch that is hard to guess.
    """
    last_start = size - _KEY_BYTES
    place: Any = out + 4 * num_ids
    while k < num_ends and start < border:
        end = np.intp(load_word(ends + 8 * k))
        length = end - start
        if length > _CACHED_BYTES or start > last_start:
            break
        low = load_word(text + start) & load_word(masks + 16 * length)
        high = load_word(text + start + 8) & load_word(masks + 16 * length + 8) | np.uint64(length) << np.uint64(56)
        row = lines + np.intp(_hash(low, high) >> _LINE_SHIFT) * _LINE_BYTES
        is_second = (load_word(row) ^ low | load_word(row + 8) ^ high) != 0
        row += is_second * _ROW_BYTES
        if (load_word(row) ^ low | load_word(row + 8) ^ high) != 0:
            break
        last = load_word(row + 24)
        store_word(place, load_word(row + 16))
        store_word(place + 8, last)
        place += np.intp(last >> _HALF) * 4
        start = end
        k += 1
    return k, start, (place - out) >> 2


@compiled
def _learn(
    text: int, length: int, low: Any, high: Any, tables: int, ranks: Any, short: Any, line: int, out: Any, num_ids: int
) -> int:
    """Find the ids of a pre-token that the cache does not have, and put them in the first row of its line.

    What was there moves to the second row, and what was in that is forgotten.
    """
    count = 1
    short[0] = _whole_token(low, high, tables)
    if short[0] == _NO_RANK:
        count = _merge_short(text, length, tables, ranks, short)
    for k in range(count):
        out[num_ids + k] = short[k]
    if count <= _CACHED_IDS:
        for k in range(0, _ROW_BYTES, 8):
            store_word(line + _ROW_BYTES + k, load_word(line + k))
        second = np.uint64(short[1]) if count > 1 else np.uint64(0)
        third = np.uint64(short[2]) if count > 2 else np.uint64(0)
        store_word(line, low)
        store_word(line + 8, high)
        store_word(line + 16, np.uint64(short[0]) | second << _HALF)
        store_word(line + 24, third | np.uint64(count) << _HALF)
    return num_ids + count


@compiled
def _whole_token(low: Any, high: Any, tables: int) -> Any:
    """The id of the token that is all of a pre-token, `_NO_RANK` where there is none."""
    slots, keys, mask = _table(tables, _SLOTS), _table(tables, _KEYS), _table(tables, _SLOTS_MASK)
    slot: Any = np.intp(_hash(low, high) >> _HALF) & mask
    row = load_half(slots + 4 * slot)
    while row != _NO_RANK:
        place = keys + 16 * np.intp(row)
        if load_word(place) == low and load_word(place + 8) == high:
            return load_half(_table(tables, _KEY_IDS) + 4 * np.intp(row))
        slot = (slot + 1) & mask
        row = load_half(slots + 4 * slot)
    return _NO_RANK


@compiled
def _merge(text: int, length: int, tables: int, ranks: Any, short: Any, out: Any, num_ids: int) -> int:
    if length > _SHORT:
        return _merge_long(text, length, tables, out, num_ids)
    count = _merge_short(text, length, tables, ranks, short)
    for k in range(count):
        out[num_ids + k] = short[k]
    return num_ids + count


@compiled
def _merge_short(text: int, length: int, tables: int, ranks: Any, out: Any) -> int:
    """Merge by searching all neighbours for the lowest rank each time; `ranks[j]` is that of the pair at j and j + 1.

    Writes the ids into `out` and returns their number.
    """
    pairs, mask = _table(tables, _PAIRS), _table(tables, _PAIRS_MASK)
    byte_ids, byte_pairs, merged_ids = (
        _table(tables, _BYTE_IDS),
        _table(tables, _BYTE_PAIRS),
        _table(tables, _MERGED_IDS),
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
        if lowest == _NO_RANK:
            break
        count -= 1
        out[best] = load_half(merged_ids + 4 * np.intp(lowest))
        for j in range(best + 1, count):
            out[j] = out[j + 1]
            ranks[j - 1] = ranks[j]
        if best:
            ranks[best - 1] = _rank(pairs, mask, out[best - 1], out[best])
        if best + 1 < count:
            ranks[best] = _rank(pairs, mask, out[best], out[best + 1])
    return count


@compiled
def _merge_long(text: int, length: int, tables: int, out: Any, num_ids: int) -> int:
    """Merge with a heap of `rank, place` and links between neighbours.

    An entry is stale where the pair at its place has changed since. Equal ranks are taken from the left.
    """
    pairs, mask = _table(tables, _PAIRS), _table(tables, _PAIRS_MASK)
    byte_ids, byte_pairs, merged_ids = (
        _table(tables, _BYTE_IDS),
        _table(tables, _BYTE_PAIRS),
        _table(tables, _MERGED_IDS),
    )
    ids, ranks = np.empty(length, np.uint32), np.full(length, _NO_RANK)
    following, previous = np.empty(length, np.int64), np.empty(length, np.int64)
    heap, heap_size = np.empty(2 * length, np.uint64), 0
    for j in range(length):
        ids[j], following[j], previous[j] = load_half(byte_ids + 4 * load_byte(text + j)), j + 1, j - 1
    for j in range(length - 1):
        ranks[j] = load_half(byte_pairs + 4 * (load_byte(text + j) << 8 | load_byte(text + j + 1)))
        if ranks[j] != _NO_RANK:
            heap_size = _push(heap, heap_size, np.uint64(ranks[j]) << _PLACE_BITS | np.uint64(j))
    while heap_size:
        lowest, place = np.uint32(heap[0] >> _PLACE_BITS), np.intp(heap[0] & _PLACE_MASK)
        heap_size = _pop(heap, heap_size)
        if ranks[place] != lowest:
            continue
        absorbed = following[place]
        after = following[absorbed]
        ids[place], ranks[absorbed], following[place] = load_half(merged_ids + 4 * np.intp(lowest)), _NO_RANK, after
        ranks[place] = _NO_RANK
        if after < length:
            previous[after] = place
            ranks[place] = _rank(pairs, mask, ids[place], ids[after])
            if ranks[place] != _NO_RANK:
                heap_size = _push(heap, heap_size, np.uint64(ranks[place]) << _PLACE_BITS | np.uint64(place))
        before = previous[place]
        if before >= 0:
            ranks[before] = _rank(pairs, mask, ids[before], ids[place])
            if ranks[before] != _NO_RANK:
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
