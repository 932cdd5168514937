"""Merges from counted pre-tokens: the most frequent pair of neighbouring tokens is merged, again and again.

The distinct pre-tokens lie one after the other in flat arrays, a place for each byte; a token stands at its first
byte, with links to its neighbours. Each pair keeps its count and the places where it may stand, so a merge touches
those places only. All places of a pair come to be in one merge, the one that makes the newer of its two tokens, so its
list is written once; places where the pair has gone are found out when they are visited. Counts of a pair only fall
once it is known, so the heap holds each pair once with a count that is corrected when it comes up.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from lm.tokenizer.count import PreTokenCounts
from lm.tokenizer.patterns import printable_order
from lm.tokenizer.words import mix

Ties = Literal["greater", "huggingface"]
"""Of equally frequent pairs: `greater` takes the lexicographically greater pair of byte strings; `huggingface` the one
whose tokens are older, single bytes in the order of GPT-2's printable alphabet, as the trainer of `tokenizers` does."""

_compiled = numba.njit(cache=True, nogil=True)
_NUM_BYTES = 256
_MERGES_A_CALL = 256
_DONE, _NO_PAIRS, _NO_ROOM = range(3)


class _Words(NamedTuple):
    """The pre-tokens: for each place its token (-1 inside one), the places of its neighbours (-1 at a border), and the
    number of the pre-token; for each pre-token its count."""

    tokens: npt.NDArray[np.int32]
    following: npt.NDArray[np.int32]
    previous: npt.NDArray[np.int32]
    word: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int64]


class _Pairs(NamedTuple):
    """For each pair its tokens, its total count, where its list in `places` starts and how long it is;
    `table` finds a pair by its tokens, `heap` has the most frequent on top, by the counts then known."""

    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    total: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    places: npt.NDArray[np.int32]
    table: npt.NDArray[np.int32]
    heap: npt.NDArray[np.int32]
    heap_count: npt.NDArray[np.int64]


class _Tokens(NamedTuple):
    """The byte strings: token t is `pool[ends[t] : ends[t + 1]]`; `order` sorts tokens where ties go to the older, and
    is empty where they go to the greater byte string."""

    ends: npt.NDArray[np.int64]
    pool: npt.NDArray[np.uint8]
    order: npt.NDArray[np.int32]


_NUM_PAIRS, _NUM_PLACES, _HEAP_SIZE, _NUM_TOKENS = range(4)


def learn_merges(counts: PreTokenCounts, num_merges: int, ties: Ties = "greater") -> Iterator[list[tuple[int, int]]]:
    """Up to `num_merges` merges, in portions: pairs of tokens, where 256 + i is what merge i made."""
    words = _split_into_bytes(counts)
    state = np.zeros(4, np.int64)
    pairs = _pairs_of_bytes(words, state)
    tokens = _byte_tokens(num_merges, ties)
    for pair in range(int(state[_NUM_PAIRS])):
        _push(pairs, tokens, state, pair)
    made = np.empty((_MERGES_A_CALL, 2), np.int32)
    left = num_merges
    while left:
        num, reason = _learn(words, pairs, tokens, state, made[:left])
        left -= num
        yield [(int(a), int(b)) for a, b in made[:num]]
        if reason == _NO_PAIRS:
            return
        if reason == _NO_ROOM:
            pairs, tokens = _enlarged_pairs(pairs, state), _enlarged_tokens(tokens)


def _split_into_bytes(counts: PreTokenCounts) -> _Words:
    """Every byte a token, linked to its neighbours within the pre-token."""
    size = counts.bytes.size
    if size >= 2**31:
        raise MemoryError(f"{size:,} bytes of distinct pre-tokens, at most 2 GiB can be indexed")
    places = np.arange(size, dtype=np.int32)
    following, previous = places + 1, places - 1
    following[counts.borders[1:] - 1] = -1
    previous[counts.borders[:-1]] = -1
    word = np.repeat(np.arange(counts.size, dtype=np.int32), np.diff(counts.borders))
    return _Words(counts.bytes.astype(np.int32), following, previous, word, counts.counts)


def _pairs_of_bytes(words: _Words, state: npt.NDArray[np.int64]) -> _Pairs:
    """The pairs of neighbouring bytes with their places, in order of the pair."""
    places = np.flatnonzero(words.following >= 0).astype(np.int32)
    codes = words.tokens[places] << 8 | words.tokens[words.following[places]]
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes, minlength=1 << 16)
    found = np.flatnonzero(sizes)
    totals = np.zeros(1 << 16, np.int64)
    np.add.at(totals, codes, words.counts[words.word[places]])
    pairs = _empty_pairs(max(1024, 2 * found.size), 2 * places.size + 1024)
    num = found.size
    pairs.left[:num], pairs.right[:num], pairs.total[:num] = found >> 8, found & 0xFF, totals[found]
    pairs.size[:num] = sizes[found]
    pairs.first[:num] = np.cumsum(sizes[found]) - sizes[found]
    pairs.places[: places.size] = places[order]
    state[_NUM_PAIRS], state[_NUM_PLACES], state[_NUM_TOKENS] = num, places.size, _NUM_BYTES
    _fill_table(pairs, num)
    return pairs


def _empty_pairs(num_pairs: int, num_places: int) -> _Pairs:
    table = np.full(1 << int(2 * num_pairs).bit_length(), -1, np.int32)
    return _Pairs(
        left=np.empty(num_pairs, np.int32),
        right=np.empty(num_pairs, np.int32),
        total=np.empty(num_pairs, np.int64),
        first=np.empty(num_pairs, np.int64),
        size=np.empty(num_pairs, np.int64),
        places=np.empty(num_places, np.int32),
        table=table,
        heap=np.empty(num_pairs, np.int32),
        heap_count=np.empty(num_pairs, np.int64),
    )


def _enlarged_pairs(pairs: _Pairs, state: npt.NDArray[np.int64]) -> _Pairs:
    """The same pairs with room for more: twice the pairs, half as many places again and what the next merge may add."""
    needed = 2 * int(pairs.size[: state[_NUM_PAIRS]].max())
    larger = _empty_pairs(2 * pairs.left.size + needed, pairs.places.size + pairs.places.size // 2 + needed)
    for name in ("left", "right", "total", "first", "size", "places", "heap", "heap_count"):
        old = getattr(pairs, name)
        getattr(larger, name)[: old.size] = old
    _fill_table(larger, int(state[_NUM_PAIRS]))
    return larger


def _byte_tokens(num_merges: int, ties: Ties) -> _Tokens:
    ends = np.zeros(_NUM_BYTES + num_merges + 1, np.int64)
    ends[: _NUM_BYTES + 1] = np.arange(_NUM_BYTES + 1)
    pool = np.zeros(_NUM_BYTES + 16 * (num_merges + 1), np.uint8)
    pool[:_NUM_BYTES] = np.arange(_NUM_BYTES)
    order = np.empty(0, np.int32)
    if ties == "huggingface":
        order = np.arange(_NUM_BYTES + num_merges, dtype=np.int32)
        order[[*itertools.chain(*printable_order())]] = np.arange(_NUM_BYTES)
    return _Tokens(ends, pool, order)


def _enlarged_tokens(tokens: _Tokens) -> _Tokens:
    longest = int(np.diff(tokens.ends).max())
    pool = np.zeros(2 * tokens.pool.size + 2 * longest, np.uint8)
    pool[: tokens.pool.size] = tokens.pool
    return tokens._replace(pool=pool)


@_compiled
def _learn(words: Any, pairs: Any, tokens: Any, state: Any, made: Any) -> tuple[int, int]:
    """Fill `made` with merges; their number, and why it stopped."""
    for num in range(made.shape[0]):
        pair = _most_frequent(pairs, tokens, state)
        if pair < 0:
            return num, _NO_PAIRS
        left, right = pairs.left[pair], pairs.right[pair]
        if not _has_room(pairs, tokens, state, pair):
            return num, _NO_ROOM
        _pop(pairs, tokens, state)
        _add_token(tokens, state, left, right)
        _merge(words, pairs, tokens, state, pair)
        made[num, 0], made[num, 1] = left, right
    return made.shape[0], _DONE


@_compiled
def _most_frequent(pairs: Any, tokens: Any, state: Any) -> int:
    """The pair on top of the heap once its count is true; -1 where no pair is left."""
    while state[_HEAP_SIZE]:
        pair = pairs.heap[0]
        if pairs.total[pair] == pairs.heap_count[0]:
            return pair
        if pairs.total[pair] > 0:
            pairs.heap_count[0] = pairs.total[pair]
            _sift_down(pairs, tokens, state)
        else:
            _pop(pairs, tokens, state)
    return -1


@_compiled
def _has_room(pairs: Any, tokens: Any, state: Any, pair: int) -> bool:
    added = 2 * pairs.size[pair]
    end = tokens.ends[state[_NUM_TOKENS]]
    left, right = pairs.left[pair], pairs.right[pair]
    length = tokens.ends[left + 1] - tokens.ends[left] + tokens.ends[right + 1] - tokens.ends[right]
    return (
        state[_NUM_PAIRS] + added <= pairs.left.size
        and state[_NUM_PLACES] + added <= pairs.places.size
        and end + length <= tokens.pool.size
    )


@_compiled
def _add_token(tokens: Any, state: Any, left: int, right: int) -> None:
    token = state[_NUM_TOKENS]
    end = tokens.ends[token]
    for part in (left, right):
        for k in range(tokens.ends[part], tokens.ends[part + 1]):
            tokens.pool[end] = tokens.pool[k]
            end += 1
    tokens.ends[token + 1] = end
    state[_NUM_TOKENS] = token + 1


@_compiled
def _merge(words: Any, pairs: Any, tokens: Any, state: Any, pair: int) -> None:
    """Make the newest token of `pair` wherever it stands, from the left, and count the pairs that this makes."""
    left, right, merged = pairs.left[pair], pairs.right[pair], state[_NUM_TOKENS] - 1
    oldest = state[_NUM_PAIRS]
    new_pairs = np.empty(2 * pairs.size[pair], np.int32)
    new_places = np.empty(2 * pairs.size[pair], np.int32)
    num_new = 0
    for k in range(pairs.first[pair], pairs.first[pair] + pairs.size[pair]):
        place = pairs.places[k]
        absorbed = words.following[place]
        if words.tokens[place] != left or absorbed < 0 or words.tokens[absorbed] != right:
            continue
        count = words.counts[words.word[place]]
        before, after = words.previous[place], words.following[absorbed]
        words.tokens[place], words.tokens[absorbed], words.following[place] = merged, -1, after
        if before >= 0:
            pairs.total[_find(pairs, words.tokens[before], left)] -= count
            new_pairs[num_new], new_places[num_new] = (
                _count_new(pairs, state, words.tokens[before], merged, count),
                before,
            )
            num_new += 1
        if after >= 0:
            words.previous[after] = place
            pairs.total[_find(pairs, right, words.tokens[after])] -= count
            new_pairs[num_new], new_places[num_new] = (
                _count_new(pairs, state, merged, words.tokens[after], count),
                place,
            )
            num_new += 1
    pairs.total[pair] = 0
    _list_places(words, pairs, state, oldest, new_pairs[:num_new], new_places[:num_new])
    for new in range(oldest, state[_NUM_PAIRS]):
        if pairs.total[new] > 0:
            _push(pairs, tokens, state, new)


@_compiled
def _list_places(words: Any, pairs: Any, state: Any, oldest: int, new_pairs: Any, new_places: Any) -> None:
    """Write the places of the pairs from `oldest` on as one list a pair; those already gone again are left out."""
    for k in range(new_pairs.size):
        pair, place = new_pairs[k], new_places[k]
        after = words.following[place]
        if words.tokens[place] == pairs.left[pair] and after >= 0 and words.tokens[after] == pairs.right[pair]:
            pairs.size[pair] += 1
        else:
            new_pairs[k] = -1
    for pair in range(oldest, state[_NUM_PAIRS]):
        pairs.first[pair] = state[_NUM_PLACES]
        state[_NUM_PLACES] += pairs.size[pair]
        pairs.size[pair] = 0
    for k in range(new_pairs.size):
        pair = new_pairs[k]
        if pair >= 0:
            pairs.places[pairs.first[pair] + pairs.size[pair]] = new_places[k]
            pairs.size[pair] += 1


@_compiled
def _slot(pairs: Any, left: Any, right: Any) -> Any:
    """Where the table has the pair, or would have it."""
    mask = np.intp(pairs.table.size - 1)
    slot = np.intp(mix(np.uint64(0), np.uint64(left) << np.uint64(32) | np.uint64(right)) >> np.uint64(32)) & mask
    while pairs.table[slot] >= 0:
        pair = pairs.table[slot]
        if pairs.left[pair] == left and pairs.right[pair] == right:
            break
        slot = (slot + 1) & mask
    return slot


@_compiled
def _find(pairs: Any, left: int, right: int) -> int:
    return pairs.table[_slot(pairs, left, right)]


@_compiled
def _count_new(pairs: Any, state: Any, left: int, right: int, count: int) -> int:
    """Count a pair that has come to be, and make it known where it is the first time."""
    slot = _slot(pairs, left, right)
    pair = pairs.table[slot]
    if pair < 0:
        pair = np.int32(state[_NUM_PAIRS])
        state[_NUM_PAIRS] += 1
        pairs.table[slot] = pair
        pairs.left[pair], pairs.right[pair], pairs.total[pair], pairs.size[pair] = left, right, 0, 0
    pairs.total[pair] += count
    return pair


@_compiled
def _fill_table(pairs: Any, num_pairs: int) -> None:
    for pair in range(num_pairs):
        pairs.table[_slot(pairs, pairs.left[pair], pairs.right[pair])] = pair


@_compiled
def _comes_first(pairs: Any, tokens: Any, count: int, pair: int, other_count: int, other: int) -> bool:
    """Whether a pair is merged before another: the more frequent, then by the rule for ties."""
    if count != other_count:
        return count > other_count
    left, right, other_left, other_right = pairs.left[pair], pairs.right[pair], pairs.left[other], pairs.right[other]
    if tokens.order.size:
        if left != other_left:
            return tokens.order[left] < tokens.order[other_left]
        return tokens.order[right] < tokens.order[other_right]
    if left != other_left:
        return _is_greater(tokens, left, other_left)
    return right != other_right and _is_greater(tokens, right, other_right)


@_compiled
def _is_greater(tokens: Any, token: int, other: int) -> bool:
    start, other_start = tokens.ends[token], tokens.ends[other]
    size, other_size = tokens.ends[token + 1] - start, tokens.ends[other + 1] - other_start
    for k in range(min(size, other_size)):
        byte, other_byte = tokens.pool[start + k], tokens.pool[other_start + k]
        if byte != other_byte:
            return byte > other_byte
    return size > other_size


@_compiled
def _push(pairs: Any, tokens: Any, state: Any, pair: int) -> None:
    child, count = state[_HEAP_SIZE], pairs.total[pair]
    state[_HEAP_SIZE] += 1
    while child:
        parent = (child - 1) >> 1
        if not _comes_first(pairs, tokens, count, pair, pairs.heap_count[parent], pairs.heap[parent]):
            break
        pairs.heap[child], pairs.heap_count[child] = pairs.heap[parent], pairs.heap_count[parent]
        child = parent
    pairs.heap[child], pairs.heap_count[child] = pair, count


@_compiled
def _pop(pairs: Any, tokens: Any, state: Any) -> None:
    """Drop the top of the heap."""
    state[_HEAP_SIZE] -= 1
    last = state[_HEAP_SIZE]
    pairs.heap[0], pairs.heap_count[0] = pairs.heap[last], pairs.heap_count[last]
    _sift_down(pairs, tokens, state)


@_compiled
def _sift_down(pairs: Any, tokens: Any, state: Any) -> None:
    """Bring the heap in order when only its top is out of it."""
    size, parent = state[_HEAP_SIZE], 0
    pair, count = pairs.heap[0], pairs.heap_count[0]
    while 2 * parent + 1 < size:
        child = 2 * parent + 1
        right = child + 1
        if right < size and _comes_first(
            pairs, tokens, pairs.heap_count[right], pairs.heap[right], pairs.heap_count[child], pairs.heap[child]
        ):
            child = right
        if _comes_first(pairs, tokens, count, pair, pairs.heap_count[child], pairs.heap[child]):
            break
        pairs.heap[parent], pairs.heap_count[parent] = pairs.heap[child], pairs.heap_count[child]
        parent = child
    pairs.heap[parent], pairs.heap_count[parent] = pair, count
