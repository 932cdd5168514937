"""Encoding: pre-tokens to ids by lookup in a cache, and by merging where the cache has no entry.

A text is cut in blocks of pre-tokens (`pretokenize.scan`). The cache of short pre-tokens has a fixed size: a new entry
takes the place of an older one. At first the cache holds the vocabulary's tokens, the first merged for certain. The few
pre-tokens of more than three ids have a cache of their own.

`reference.encode` is the same in plain Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lm.compiled import compiled
from lm.tokenizer.encoding.merge import HALF, MASKS, SHORT, merge, merge_short, table
from lm.tokenizer.encoding.merge_tables import KEY_BYTES, MAX_KEY_BYTES, Tables, build_tables, hash_of, key_of
from lm.tokenizer.pretokenizing.pretokenize import pattern_code, scan
from lm.tokenizer.pretokenizing.unicode_tables import kinds
from lm.tokenizer.raw_memory import address, load_half, load_word, store_word

Ids = npt.NDArray[np.uint32]

_BLOCK = 1 << 15  # pre-tokens cut at a time: their bytes stay in the processor's cache until they are merged
_KEPT_BYTES = 1 << 16  # texts up to this size use the room for ids that the last call left
_CACHED_IDS = 3
_LINE_BITS = 15
_LINE_SHIFT = np.uint64(64 - _LINE_BITS)
_LINE_BYTES, _ROW_BYTES = 64, 32
_WIDE_BITS, _WIDE_BYTES = 11, 128
_WIDE_SHIFT = np.uint64(64 - _WIDE_BITS)
_SLACK = 4  # ids that may be written beyond the last


class _Workspace(NamedTuple):
    """The caches and buffers that one call has for itself."""

    cache: npt.NDArray[np.uint64]
    wide: npt.NDArray[np.uint64]
    ends: npt.NDArray[np.int64]
    ids: Ids


class Encoder:
    """The encoding tables of one tokenizer. Threads may share an encoder; each call borrows a workspace."""

    def __init__(
        self,
        ids: Mapping[bytes, int],
        merges: Sequence[tuple[bytes, bytes]],
        pattern: str,
        whole_tokens: Sequence[bytes] = (),
    ) -> None:
        """Build the tables. `ids` holds every single byte and all parts and results of `merges`.

        A pre-token in `whole_tokens` is one token whatever the merges.

        Raises:
            InputError: an id, or the number of merges, is beyond 2,097,151.
        """
        self._pattern = pattern_code(pattern)
        self._use(build_tables(ids, merges))
        if whole_tokens:
            lengths = np.diff(self._ids_of_pre_tokens(whole_tokens)[1])
            others = [token for token, length in zip(whole_tokens, lengths, strict=True) if length != 1]
            self._use(build_tables(ids, merges, others))
        short = [left + right for left, right in merges if len(left) + len(right) <= MAX_KEY_BYTES]
        self._ids_of_pre_tokens(short[::-1])  # the last merged first, so that the first merged stay in the cache
        self._idle: list[_Workspace] = []

    def _use(self, tables: Tables) -> None:
        self._tables = tables
        self._directory = tables.directory()
        self._learned = _workspace(None)

    def _ids_of_pre_tokens(self, tokens: Sequence[bytes]) -> tuple[Ids, npt.NDArray[np.int64]]:
        """Encode each token as a pre-token, by and into the cache that workspaces begin with."""
        data = np.frombuffer(b"".join(tokens), np.uint8)
        ends = np.cumsum([len(token) for token in tokens], dtype=np.int64)
        boundaries, borders = np.concatenate([[0], ends]), np.zeros(len(tokens) + 1, np.int64)
        out = np.empty(data.size + _SLACK, np.uint32)
        if data.size:
            self._merge_block(data, 0, ends, self._learned, out, 0, boundaries, 0, borders)
        return out, borders

    def encode(
        self, data: npt.NDArray[np.uint8], boundaries: npt.NDArray[np.int64]
    ) -> tuple[Ids, npt.NDArray[np.int64]]:
        """Return the ids of several documents, one after the other, and the border of each document among the ids.

        `data` is valid UTF-8; document i lies at `boundaries[i] : boundaries[i + 1]`, the first at 0.
        """
        borders = np.zeros(boundaries.size, np.int64)
        with self._workspace() as work:
            if data.size <= _KEPT_BYTES:
                return work.ids[: self._merge(data, boundaries, work, work.ids, borders)].copy(), borders
            out = np.empty(data.size + _SLACK, np.uint32)  # memory that is not written to is not taken
            num_ids = self._merge(data, boundaries, work, out, borders)
        out.resize(num_ids, refcheck=False)
        return out, borders

    def _merge(
        self,
        data: npt.NDArray[np.uint8],
        boundaries: npt.NDArray[np.int64],
        work: _Workspace,
        out: Ids,
        borders: npt.NDArray[np.int64],
    ) -> int:
        """Write the ids into `out` and the borders into `borders`; return the number of ids."""
        data = data.view()
        data.flags.writeable = False  # numba compiles anew for arrays that can be written
        start = document = num_ids = 0
        while start < data.size:
            count = scan(data, boundaries, start, self._pattern, kinds(), work.ends)
            ends = work.ends[:count]
            num_ids, document = self._merge_block(data, start, ends, work, out, num_ids, boundaries, document, borders)
            start = int(ends[-1])
        borders[document:] = num_ids
        return num_ids

    def _merge_block(self, data: Any, start: int, ends: Any, work: _Workspace, *rest: Any) -> tuple[int, int]:
        found: tuple[int, int] = merge_block(data, start, ends, self._directory, work.cache, work.wide, *rest)
        return found

    @contextmanager
    def _workspace(self) -> Iterator[_Workspace]:
        """Lend a workspace that no other thread uses meanwhile; popping and appending are atomic."""
        try:
            work = self._idle.pop()
        except IndexError:
            work = _workspace(self._learned)
        try:
            yield work
        finally:
            self._idle.append(work)


def _workspace(learned: _Workspace | None) -> _Workspace:
    """Return a workspace with the cache entries of `learned`, or with none."""
    line = _LINE_BYTES // 8
    room = np.zeros(line * ((1 << _LINE_BITS) + 1), np.uint64)
    first = -room.ctypes.data % _LINE_BYTES // 8  # a line of the processor's cache holds both rows of one of ours
    cache, wide = room[first : first + (line << _LINE_BITS)], np.zeros(_WIDE_BYTES // 8 << _WIDE_BITS, np.uint64)
    if learned is not None:
        cache[:], wide[:] = learned.cache, learned.wide
    return _Workspace(cache, wide, np.empty(_BLOCK, np.int64), np.empty(_KEPT_BYTES + _SLACK, np.uint32))


@compiled
def merge_block(
    data: Any,
    start: Any,
    ends: Any,
    directory: Any,
    cache: Any,
    wide_cache: Any,
    out: Any,
    num_ids: Any,
    boundaries: Any,
    document: Any,
    borders: Any,
) -> tuple[int, int]:
    """Write the ids of consecutive pre-tokens into `out` from `num_ids` on; return the number of ids then in it.

    `borders` of the documents from `document` on that end within are set; the first that does not is returned too.
    `out` has room for one id a byte and `_SLACK` more. A row of `cache` is a key, then three ids and their number; a
    pre-token lies in one of the two rows of a line. A row of `wide_cache` is a key, then a number and so many ids.
    """
    short, ranks = np.empty(SHORT, np.uint32), np.empty(SHORT, np.uint32)
    text, size, lines, ids = address(data), data.size, address(cache), address(out)
    end_of, tables, wide_rows = address(ends), address(directory), address(wide_cache)
    masks = table(tables, MASKS)
    quick_stop = min(ends[-1], size - KEY_BYTES + 1)  # from there on two words cannot be read
    k = 0
    while k < ends.size:
        while boundaries[document] <= start:
            borders[document] = num_ids
            document += 1
        border = boundaries[document]
        k, start, num_ids = _known(text, start, end_of, k, min(border, quick_stop), masks, lines, ids, num_ids)
        if k < ends.size and start < border:
            length = ends[k] - start
            if length > MAX_KEY_BYTES:
                num_ids = merge(text + start, length, tables, ranks, short, out, num_ids)
            else:
                low, high = key_of(text + start, length, size - start, masks)
                hashed = hash_of(low, high)
                line = lines + np.intp(hashed >> _LINE_SHIFT) * _LINE_BYTES
                wide = wide_rows + np.intp(hashed >> _WIDE_SHIFT) * _WIDE_BYTES
                num_ids = _find(text + start, length, low, high, tables, ranks, short, line, wide, out, num_ids)
            start = ends[k]
            k += 1
    while document < boundaries.size and boundaries[document] <= start:
        borders[document] = num_ids
        document += 1
    return num_ids, document


@compiled
def _known(
    text: int, start: Any, ends: int, k: int, stop: Any, masks: int, lines: int, out: int, num_ids: int
) -> tuple[Any, Any, Any]:
    """Write the ids of pre-tokens from the k-th on while the cache has them and they start before `stop`.

    Returns the next pre-token, where it starts, and the number of ids. Arrays are given by their addresses. Nearly all
    of a text passes through this loop, so it has no branch that is hard to guess.
    """
    place: Any = out + 4 * num_ids
    while start < stop:
        end = np.intp(load_word(ends + 8 * k))
        length = end - start
        if length > MAX_KEY_BYTES:
            break
        low = load_word(text + start) & load_word(masks + 16 * length)
        high = load_word(text + start + 8) & load_word(masks + 16 * length + 8) | np.uint64(length) << np.uint64(56)
        row = lines + np.intp(hash_of(low, high) >> _LINE_SHIFT) * _LINE_BYTES
        is_second = (load_word(row) ^ low | load_word(row + 8) ^ high) != 0
        row += is_second * _ROW_BYTES
        if (load_word(row) ^ low | load_word(row + 8) ^ high) != 0:
            break
        last = load_word(row + 24)
        store_word(place, load_word(row + 16))
        store_word(place + 8, last)
        place += np.intp(last >> HALF) * 4
        start = end
        k += 1
    return k, start, (place - out) >> 2


@compiled
def _find(
    text: int,
    length: int,
    low: Any,
    high: Any,
    tables: int,
    ranks: Any,
    short: Any,
    line: int,
    wide: int,
    out: Any,
    num_ids: int,
) -> int:
    """Write the ids of a pre-token that is not in the cache of few ids, and cache them; return the number of ids then
    in `out`.

    Up to `_CACHED_IDS` go to the first row of the `line`: what was there moves to the second row, and what was in that
    is forgotten. More go to the row `wide`.
    """
    if load_word(wide) == low and load_word(wide + 8) == high:
        count: Any = np.intp(load_half(wide + 16))
        for k in range(count):
            out[num_ids + k] = load_half(wide + 20 + 4 * k)
        return num_ids + count
    count = merge_short(text, length, tables, ranks, short)
    for k in range(count):
        out[num_ids + k] = short[k]
    if count <= _CACHED_IDS:
        for k in range(0, _ROW_BYTES, 8):
            store_word(line + _ROW_BYTES + k, load_word(line + k))
        row = line
        store_word(row + 16, np.uint64(short[0]) | _second(short, 1, count))
        store_word(row + 24, np.uint64(short[2] if count > 2 else 0) | np.uint64(count) << HALF)
    else:
        row = wide
        store_word(row + 16, np.uint64(count) | np.uint64(short[0]) << HALF)
        for k in range(1, count, 2):
            store_word(row + 20 + 4 * k, np.uint64(short[k]) | _second(short, k + 1, count))
    store_word(row, low)
    store_word(row + 8, high)
    return num_ids + count


@compiled
def _second(short: Any, k: int, count: int) -> Any:
    """Return the k-th id as the second half of a word, zero where there is none."""
    return np.uint64(short[k]) << HALF if k < count else np.uint64(0)
