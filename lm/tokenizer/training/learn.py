"""The merge loop of training: the most frequent pair of neighbouring tokens is merged, again and again.

The distinct pre-tokens are laid out in one array, a cell for each byte and a border between two pre-tokens. A token
is written into the first and the last of its cells, so both neighbours of a token are one load away, mostly on the
same cache line. Each pair has its count and the list of its possible places, so a merge visits those places only.
Places that another merge took are skipped on the visit. All places of a pair arise in one merge, that of the newer of
its two tokens, so its list is written once.

A merge changes the counts of few distinct pairs in many places: the changes are summed by neighbour first, and each
pair is looked up once. Every pair with the new token is new.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lm.compiled import compiled
from lm.errors import InputError
from lm.tokenizer.gpt2_files import printable_order
from lm.tokenizer.training.count import PreTokenCounts
from lm.tokenizer.training.pair_heap import most_frequent, pop, push
from lm.tokenizer.training.pairs import (
    FIRST,
    HEAP_LEAST,
    KEY,
    NOTHING_IN_HEAP,
    NUM_PAIRS,
    NUM_PLACES,
    NUM_TOKENS,
    SIZE,
    TOTAL,
    Pairs,
    Tokens,
    empty_pairs,
    enlarged_pairs,
    fill_table,
    slot_of,
)

Ties = Literal["greater", "huggingface"]
"""Of equally frequent pairs: `greater` takes the lexicographically greater pair of byte strings; `huggingface` the one
whose tokens are older, single bytes in the order of GPT-2's printable alphabet, as the trainer of `tokenizers` does."""

_NUM_BYTES = 256
_MERGES_A_CALL = 256
_DONE, _NO_PAIRS, _NO_ROOM = range(3)
_BORDER, _INSIDE = -1, -2


class _Sums(NamedTuple):
    """The sums of one merge by neighbouring token: counts of the pairs that go on the left and on the right, counts of
    those that come on the right, and the numbers of the new pairs (-1: none yet). Zero between merges.
    """

    gone_left: npt.NDArray[np.int64]
    gone_right: npt.NDArray[np.int64]
    new_right: npt.NDArray[np.int64]
    pair_left: npt.NDArray[np.int32]
    pair_right: npt.NDArray[np.int32]


def learn_merges(counts: PreTokenCounts, num_merges: int, ties: Ties = "greater") -> Iterator[list[tuple[int, int]]]:
    """Yield up to `num_merges` merges, in portions: pairs of tokens, where 256 + i is the result of merge i."""
    if counts.bytes.size + counts.size >= 2**31:
        raise InputError(
            f"text: {counts.bytes.size:,} bytes of distinct pre-tokens, expected less than 2 GiB: set max_pre_tokens"
        )
    state = np.zeros(5, np.int64)
    cells = np.empty(counts.bytes.size + counts.size + 1, np.int32)
    pairs = _pairs_of_bytes(counts, cells, state)
    tokens, sums = _byte_tokens(num_merges, ties), _no_sums(_NUM_BYTES + num_merges)
    made = np.empty((_MERGES_A_CALL, 2), np.int32)
    left = num_merges
    while left:
        num, reason = _learn(cells, counts.counts, pairs, tokens, sums, state, made[:left])
        left -= num
        yield [(int(a), int(b)) for a, b in made[:num]]
        if reason == _NO_PAIRS:
            return
        if reason == _NO_ROOM:
            pairs, tokens = enlarged_pairs(pairs, state), _enlarged_tokens(tokens)


def _pairs_of_bytes(counts: PreTokenCounts, cells: npt.NDArray[np.int32], state: npt.NDArray[np.int64]) -> Pairs:
    """Lay out the cells, a token for each byte, and list the pairs of bytes with their places."""
    sizes = np.zeros(1 << 16, np.int64)
    _lay_out(counts.bytes, counts.borders, cells, sizes)
    found = np.flatnonzero(sizes)
    num_places = int(sizes.sum())
    pairs = empty_pairs(max(1024, 2 * found.size), num_places + num_places // 2 + 1024)
    rows = pairs.rows[: found.size]
    rows[:, KEY] = (found >> 8) << 32 | found & 0xFF
    rows[:, TOTAL], rows[:, SIZE] = 0, sizes[found]
    rows[:, FIRST] = np.cumsum(sizes[found]) - sizes[found]
    of_code = np.full(1 << 16, -1, np.int32)
    of_code[found] = np.arange(found.size)
    _list_bytes(counts.bytes, counts.borders, counts.counts, of_code, pairs.rows, pairs.places, pairs.words)
    state[NUM_PAIRS], state[NUM_PLACES], state[NUM_TOKENS] = found.size, num_places, _NUM_BYTES
    state[HEAP_LEAST] = NOTHING_IN_HEAP
    fill_table(pairs.rows, pairs.table, found.size)
    return pairs


def _byte_tokens(num_merges: int, ties: Ties) -> Tokens:
    ends = np.zeros(_NUM_BYTES + num_merges + 1, np.int64)
    ends[: _NUM_BYTES + 1] = np.arange(_NUM_BYTES + 1)
    pool = np.zeros(_NUM_BYTES + 16 * (num_merges + 1), np.uint8)
    pool[:_NUM_BYTES] = np.arange(_NUM_BYTES)
    order = np.empty(0, np.int32)
    if ties == "huggingface":
        order = np.arange(_NUM_BYTES + num_merges, dtype=np.int32)
        order[[*itertools.chain(*printable_order())]] = np.arange(_NUM_BYTES)
    return Tokens(ends, pool, order)


def _enlarged_tokens(tokens: Tokens) -> Tokens:
    longest = int(np.diff(tokens.ends).max())
    pool = np.zeros(2 * tokens.pool.size + 2 * longest, np.uint8)
    pool[: tokens.pool.size] = tokens.pool
    return tokens._replace(pool=pool)


def _no_sums(num_tokens: int) -> _Sums:
    none = np.full(num_tokens, -1, np.int32)
    zero = np.zeros(num_tokens, np.int64)
    return _Sums(zero, zero.copy(), zero.copy(), none, none.copy())


@compiled
def _lay_out(data: Any, borders: Any, cells: Any, sizes: Any) -> None:
    """Write the bytes of every pre-token into the cells between borders, and count the places of each pair of bytes."""
    cell = 0
    cells[0] = _BORDER
    for word in range(borders.size - 1):
        for k in range(borders[word], borders[word + 1]):
            cell += 1
            cells[cell] = data[k]
            if k > borders[word]:
                sizes[np.int64(data[k - 1]) << 8 | data[k]] += 1
        cell += 1
        cells[cell] = _BORDER


@compiled
def _list_bytes(data: Any, borders: Any, counts: Any, of_code: Any, rows: Any, places: Any, words: Any) -> None:
    """Count the pairs of bytes and list their places, from the left."""
    filled = np.zeros(rows.shape[0], np.int64)
    for word in range(borders.size - 1):
        for k in range(borders[word], borders[word + 1] - 1):
            pair = of_code[np.int64(data[k]) << 8 | data[k + 1]]
            rows[pair, TOTAL] += counts[word]
            at = rows[pair, FIRST] + filled[pair]
            places[at], words[at] = k + 1 + word, word
            filled[pair] += 1


@compiled
def _learn(cells: Any, counts: Any, pairs: Any, tokens: Any, sums: Any, state: Any, made: Any) -> tuple[int, int]:
    """Fill `made` with merges; return their number and the reason for the end."""
    for num in range(made.shape[0]):
        pair = most_frequent(pairs, tokens, state)
        if pair < 0:
            return num, _NO_PAIRS
        left, right = pairs.rows[pair, KEY] >> 32, pairs.rows[pair, KEY] & 0xFFFFFFFF
        if not _has_room(pairs, tokens, state, pair, left, right):
            return num, _NO_ROOM
        pop(pairs, tokens, state)
        _add_token(tokens, state, left, right)
        _merge(cells, counts, pairs, tokens, sums, state, pair)
        made[num, 0], made[num, 1] = left, right
    return made.shape[0], _DONE


@compiled
def _has_room(pairs: Any, tokens: Any, state: Any, pair: int, left: int, right: int) -> bool:
    added = 2 * pairs.rows[pair, SIZE]
    length = tokens.ends[left + 1] - tokens.ends[left] + tokens.ends[right + 1] - tokens.ends[right]
    return (
        state[NUM_PAIRS] + added <= pairs.heap.size
        and state[NUM_PLACES] + added <= pairs.places.size
        and tokens.ends[state[NUM_TOKENS]] + length <= tokens.pool.size
    )


@compiled
def _add_token(tokens: Any, state: Any, left: int, right: int) -> None:
    token = state[NUM_TOKENS]
    end = tokens.ends[token]
    for part in (left, right):
        for k in range(tokens.ends[part], tokens.ends[part + 1]):
            tokens.pool[end] = tokens.pool[k]
            end += 1
    tokens.ends[token + 1] = end
    state[NUM_TOKENS] = token + 1


@compiled
def _merge(cells: Any, counts: Any, pairs: Any, tokens: Any, sums: Any, state: Any, pair: int) -> None:
    """Make the newest token of `pair` at all its places, from the left, and count the pairs that arise."""
    rows, places, words, ends = pairs.rows, pairs.places, pairs.words, tokens.ends
    gone_left, gone_right, new_right = sums.gone_left, sums.gone_right, sums.new_right
    pair_left, pair_right = sums.pair_left, sums.pair_right
    left, right, merged = rows[pair, KEY] >> 32, rows[pair, KEY] & 0xFFFFFFFF, state[NUM_TOKENS] - 1
    left_length, length = ends[left + 1] - ends[left], ends[merged + 1] - ends[merged]
    first, size = rows[pair, FIRST], rows[pair, SIZE]
    # New pairs by number: those with a token before have its token, those with one after -1 less that.
    neighbours = np.empty(2 * size, np.int32)
    listed = np.empty((2 * size, 3), np.int32)
    num_new, num_listed, twice = 0, 0, np.int64(0)
    for k in range(first, first + size):
        place = places[k]
        absorbed = place + left_length
        if cells[place] != left or cells[absorbed] != right:
            continue
        word = words[k]
        count = counts[word]
        before, after = cells[place - 1], cells[place + length]
        cells[absorbed] = _INSIDE
        cells[place], cells[place + length - 1] = merged, merged
        if before >= 0:
            if pair_left[before] < 0:
                pair_left[before], neighbours[num_new] = num_new, before
                num_new += 1
            if before == merged:
                new_right[left] -= count
                twice += count
            else:
                gone_left[before] += count
            listed[num_listed, 0] = pair_left[before]
            listed[num_listed, 1], listed[num_listed, 2] = place - (ends[before + 1] - ends[before]), word
            num_listed += 1
        if after >= 0:
            if pair_right[after] < 0:
                pair_right[after], neighbours[num_new] = num_new, -1 - after
                num_new += 1
            gone_right[after] += count
            new_right[after] += count
            listed[num_listed, 0], listed[num_listed, 1], listed[num_listed, 2] = pair_right[after], place, word
            num_listed += 1
    oldest = state[NUM_PAIRS]
    for new in range(num_new):
        if neighbours[new] >= 0:
            before = neighbours[new]
            total = twice
            if before != merged:
                total = gone_left[before]
                rows[pairs.table[slot_of(rows, pairs.table, before << 32 | left)], TOTAL] -= total
            key = before << 32 | merged
            gone_left[before], pair_left[before] = 0, -1
        else:
            after = -1 - neighbours[new]
            rows[pairs.table[slot_of(rows, pairs.table, right << 32 | after)], TOTAL] -= gone_right[after]
            total, key = new_right[after], merged << 32 | after
            gone_right[after], new_right[after], pair_right[after] = 0, 0, -1
        _append(rows, state, key, total)
    rows[pair, TOTAL] = 0
    _list_places(pairs, state, oldest, listed[:num_listed])
    _make_known(pairs, tokens, state, oldest)


@compiled
def _append(rows: Any, state: Any, key: int, total: Any) -> None:
    pair = state[NUM_PAIRS]
    rows[pair, KEY], rows[pair, TOTAL], rows[pair, SIZE] = key, total, 0
    state[NUM_PAIRS] = pair + 1


@compiled
def _list_places(pairs: Any, state: Any, oldest: int, listed: Any) -> None:
    """Write the places of the pairs from `oldest` on as one list a pair."""
    rows = pairs.rows
    for k in range(listed.shape[0]):
        rows[oldest + listed[k, 0], SIZE] += 1
    start = state[NUM_PLACES]
    for pair in range(oldest, state[NUM_PAIRS]):
        rows[pair, FIRST] = start
        if rows[pair, TOTAL] > 0:
            start += rows[pair, SIZE]
        rows[pair, SIZE] = 0
    state[NUM_PLACES] = start
    for k in range(listed.shape[0]):
        pair = oldest + listed[k, 0]
        if rows[pair, TOTAL] > 0:
            at = rows[pair, FIRST] + rows[pair, SIZE]
            pairs.places[at], pairs.words[at] = listed[k, 1], listed[k, 2]
            rows[pair, SIZE] += 1


@compiled
def _make_known(pairs: Any, tokens: Any, state: Any, oldest: int) -> None:
    """Enter the pairs from `oldest` on into the table, and the frequent ones into the heap."""
    rows, table = pairs.rows, pairs.table
    for pair in range(oldest, state[NUM_PAIRS]):
        table[slot_of(rows, table, rows[pair, KEY])] = pair
        if rows[pair, TOTAL] >= state[HEAP_LEAST]:
            push(pairs, tokens, state, pair)
