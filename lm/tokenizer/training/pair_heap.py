"""The most frequent pair of tokens: a binary heap over counts that only fall.

The count of a pair only falls once the pair exists. The heap therefore holds a pair once, with a count that is
corrected when the pair comes to the top. Most pairs never do: pairs rarer than `HEAP_LEAST` stay outside. When the
heap is empty the bound is lowered and all pairs are scanned once. The heap stays small and cached.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lm.compiled import compiled
from lm.tokenizer.training.pairs import HEAP_LEAST, HEAP_SIZE, KEY, NUM_PAIRS, TOTAL


@compiled
def most_frequent(pairs: Any, tokens: Any, state: Any) -> int:
    """Return the pair on top of the heap once its count is current; -1 where no pair is left."""
    while True:
        while state[HEAP_SIZE]:
            pair = pairs.heap[0]
            total = pairs.rows[pair, TOTAL]
            if total == pairs.heap_counts[0]:
                return pair
            if total >= state[HEAP_LEAST]:
                pairs.heap_counts[0] = total
                _sift_down(pairs, tokens, state)
            else:
                pop(pairs, tokens, state)
        if not _refill(pairs, tokens, state):
            return -1


@compiled
def _refill(pairs: Any, tokens: Any, state: Any) -> bool:
    """Lower the bound to half the highest count and push the pairs above it; return whether any pair is left."""
    highest = np.int64(0)
    for pair in range(state[NUM_PAIRS]):
        highest = max(highest, pairs.rows[pair, TOTAL])
    if highest == 0:
        return False
    state[HEAP_LEAST] = max(np.int64(1), highest // 2)
    for pair in range(state[NUM_PAIRS]):
        if pairs.rows[pair, TOTAL] >= state[HEAP_LEAST]:
            push(pairs, tokens, state, pair)
    return True


@compiled
def push(pairs: Any, tokens: Any, state: Any, pair: int) -> None:
    """Add a pair."""
    child, count = state[HEAP_SIZE], pairs.rows[pair, TOTAL]
    state[HEAP_SIZE] += 1
    while child:
        parent = (child - 1) >> 1
        if not _comes_first(pairs, tokens, count, pair, pairs.heap_counts[parent], pairs.heap[parent]):
            break
        pairs.heap[child], pairs.heap_counts[child] = pairs.heap[parent], pairs.heap_counts[parent]
        child = parent
    pairs.heap[child], pairs.heap_counts[child] = pair, count


@compiled
def pop(pairs: Any, tokens: Any, state: Any) -> None:
    """Remove the top of the heap."""
    state[HEAP_SIZE] -= 1
    last = state[HEAP_SIZE]
    pairs.heap[0], pairs.heap_counts[0] = pairs.heap[last], pairs.heap_counts[last]
    _sift_down(pairs, tokens, state)


@compiled
def _sift_down(pairs: Any, tokens: Any, state: Any) -> None:
    """Restore the order of a heap of which only the top is out of order."""
    size, parent = state[HEAP_SIZE], 0
    pair, count = pairs.heap[0], pairs.heap_counts[0]
    while 2 * parent + 1 < size:
        child = 2 * parent + 1
        right = child + 1
        if right < size and _comes_first(
            pairs, tokens, pairs.heap_counts[right], pairs.heap[right], pairs.heap_counts[child], pairs.heap[child]
        ):
            child = right
        if _comes_first(pairs, tokens, count, pair, pairs.heap_counts[child], pairs.heap[child]):
            break
        pairs.heap[parent], pairs.heap_counts[parent] = pairs.heap[child], pairs.heap_counts[child]
        parent = child
    pairs.heap[parent], pairs.heap_counts[parent] = pair, count


@compiled
def _comes_first(pairs: Any, tokens: Any, count: int, pair: int, other_count: int, other: int) -> bool:
    """Return whether a pair is merged before another: the more frequent, then by the rule for ties."""
    if count != other_count:
        return count > other_count
    return _wins_tie(pairs, tokens, pair, other)


@compiled
def _wins_tie(pairs: Any, tokens: Any, pair: int, other: int) -> bool:
    left, right = pairs.rows[pair, KEY] >> 32, pairs.rows[pair, KEY] & 0xFFFFFFFF
    other_left, other_right = pairs.rows[other, KEY] >> 32, pairs.rows[other, KEY] & 0xFFFFFFFF
    if tokens.order.size:
        if left != other_left:
            return tokens.order[left] < tokens.order[other_left]
        return tokens.order[right] < tokens.order[other_right]
    if left != other_left:
        return _is_greater(tokens, left, other_left)
    return right != other_right and _is_greater(tokens, right, other_right)


@compiled
def _is_greater(tokens: Any, token: int, other: int) -> bool:
    start, other_start = tokens.ends[token], tokens.ends[other]
    size, other_size = tokens.ends[token + 1] - start, tokens.ends[other + 1] - other_start
    for k in range(min(size, other_size)):
        byte, other_byte = tokens.pool[start + k], tokens.pool[other_start + k]
        if byte != other_byte:
            return byte > other_byte
    return size > other_size
