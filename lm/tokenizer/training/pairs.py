"""The pairs of neighbouring tokens during training: counts, places, and a hash table to find a pair."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lm.compiled import compiled
from lm.tokenizer.raw_memory import mix

KEY, TOTAL, FIRST, SIZE = range(4)
"""Columns of `Pairs.rows`: left token << 32 | right token, count, where its list in `places` starts, its length."""
NUM_PAIRS, NUM_PLACES, HEAP_SIZE, NUM_TOKENS, HEAP_LEAST = range(5)
"""Numbers that move while learning; `HEAP_LEAST` is the least count that the heap holds, rarer pairs wait outside."""
NOTHING_IN_HEAP = np.iinfo(np.int64).max
"""`HEAP_LEAST` while all pairs wait outside."""


class Pairs(NamedTuple):
    """The arrays of all pairs: `rows` holds them and `table` finds one by its tokens. `places` and `words` list, for
    each pair on a stretch of its own, its possible cells and their pre-tokens. The heap has the most frequent pair
    on top.
    """

    rows: npt.NDArray[np.int64]
    table: npt.NDArray[np.int32]
    places: npt.NDArray[np.int32]
    words: npt.NDArray[np.int32]
    heap: npt.NDArray[np.int32]
    heap_counts: npt.NDArray[np.int64]


class Tokens(NamedTuple):
    """The byte strings of tokens: token t is `pool[ends[t] : ends[t + 1]]`. `order` ranks tokens where ties go to the
    older one, and is empty where ties go to the greater byte string.
    """

    ends: npt.NDArray[np.int64]
    pool: npt.NDArray[np.uint8]
    order: npt.NDArray[np.int32]


def empty_pairs(num_pairs: int, num_places: int) -> Pairs:
    """Return arrays for `num_pairs` pairs, and for `num_places` places in all lists together."""
    return Pairs(
        rows=np.empty((num_pairs, 4), np.int64),
        table=np.full(1 << int(2 * num_pairs - 1).bit_length(), -1, np.int32),
        places=np.empty(num_places, np.int32),
        words=np.empty(num_places, np.int32),
        heap=np.empty(num_pairs, np.int32),
        heap_counts=np.empty(num_pairs, np.int64),
    )


def enlarged_pairs(pairs: Pairs, state: npt.NDArray[np.int64]) -> Pairs:
    """Return the pairs with a count above zero in arrays with as much room again; the heap is empty."""
    rows = pairs.rows[: state[NUM_PAIRS]]
    alive = rows[rows[:, TOTAL] > 0]
    # A merge may add two pairs, and two places, for every place of the pair that it merges.
    needed, num_places = 2 * int(alive[:, SIZE].max()), int(alive[:, SIZE].sum())
    larger = empty_pairs(2 * len(alive) + needed, num_places + num_places // 2 + needed)
    larger.rows[: len(alive)] = alive
    _copy_lists(alive, pairs.places, pairs.words, larger.rows, larger.places, larger.words)
    state[NUM_PAIRS], state[NUM_PLACES], state[HEAP_SIZE] = len(alive), num_places, 0
    state[HEAP_LEAST] = NOTHING_IN_HEAP
    fill_table(larger.rows, larger.table, len(alive))
    return larger


@compiled
def _copy_lists(rows: Any, places: Any, words: Any, new_rows: Any, new_places: Any, new_words: Any) -> None:
    """Copy the lists of `rows`, one after the other."""
    start = 0
    for pair in range(rows.shape[0]):
        first, size = rows[pair, FIRST], rows[pair, SIZE]
        new_rows[pair, FIRST] = start
        for k in range(size):
            new_places[start + k], new_words[start + k] = places[first + k], words[first + k]
        start += size


@compiled
def fill_table(rows: Any, table: Any, num_pairs: int) -> None:
    for pair in range(num_pairs):
        table[slot_of(rows, table, rows[pair, KEY])] = pair


@compiled
def slot_of(rows: Any, table: Any, key: int) -> Any:
    """Return the slot of a key in the table, or the free slot for it."""
    mask = np.intp(table.size - 1)
    slot = np.intp(mix(np.uint64(0), np.uint64(key)) >> np.uint64(32)) & mask
    while table[slot] >= 0 and rows[table[slot], KEY] != key:
        slot = (slot + 1) & mask
    return slot
