"""Compiled loops over LSH buckets: grouping by key, and the Jaccard index of candidates. All loops release the GIL."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lm.compiled import compiled
from pipelines.dedup.cluster_kernels import find, union
from pipelines.dedup.hash_cells import cells_of

Array64 = NDArray[np.uint64]
Indices = NDArray[np.int64]

_MOST_INSERTED = 64
_STEPS = 64
"""How far two sets are walked between looks at what is certain."""


@compiled
def group_equal(keys: Array64, members: Indices) -> tuple[Indices, Indices]:
    """Return the members with a shared key, in groups by key, and the start of each group (and the end of the last).

    Within a group members keep their order. The keys are hashes: their upper bits deal them evenly into cells of about
    16, so the whole is linear; a cell that equal keys fill is sorted by comparing.
    """
    shift, ends = cells_of(keys, 4)
    dealt, whose = np.empty_like(keys), np.empty(members.size, np.int64)
    for index in range(keys.size):
        cell = keys[index] >> shift
        dealt[ends[cell]], whose[ends[cell]] = keys[index], members[index]
        ends[cell] += 1
    starts, begin, found = np.empty(members.size // 2 + 1, np.int64), 0, 0
    num_groups = 0
    for cell in range(ends.size):
        end = ends[cell]
        _sort_cell(dealt[begin:end], whose[begin:end])
        while begin < end:
            same = begin + 1
            while same < end and dealt[same] == dealt[begin]:
                same += 1
            if same - begin > 1:
                starts[num_groups], num_groups = found, num_groups + 1
                for index in range(begin, same):  # never ahead of what is still to be read
                    whose[found], found = whose[index], found + 1
            begin = same
    starts[num_groups] = found
    return whose[:found].copy(), starts[: num_groups + 1].copy()


@compiled
def _sort_cell(keys: Array64, members: Indices) -> None:
    """Sort by key, keeping the order of equal ones."""
    if keys.size > _MOST_INSERTED:
        order = np.argsort(keys, kind="mergesort")
        keys[:], members[:] = keys[order], members[order]
        return
    for index in range(1, keys.size):
        key, member, place = keys[index], members[index], index
        while place > 0 and keys[place - 1] > key:
            keys[place], members[place] = keys[place - 1], members[place - 1]
            place -= 1
        keys[place], members[place] = key, member


@compiled
def jaccard(left: Array64, right: Array64) -> float:
    """Return |A ∩ B| / |A ∪ B| of two sorted arrays without repetitions."""
    i, j, shared = 0, 0, 0
    while i < left.size and j < right.size:
        i, j, more = _advance(left, right, i, j, min(left.size - i, right.size - j))
        shared += more
    return _index(shared, left.size + right.size)


@compiled
def _advance(left: Array64, right: Array64, i: int, j: int, num_steps: int) -> Any:
    """Walk on in two sorted arrays that have `num_steps` left; return where that leads, and how many values both have.

    Whether a value is the smaller one cannot be predicted, so nothing branches on it.
    """
    shared = 0
    for _ in range(num_steps):
        first, second = left[i], right[j]
        i += first <= second
        j += second <= first
        shared += first == second
    return i, j, shared


@compiled
def _index(shared: int, total: int) -> float:
    """Return the Jaccard index of two sets with `total` elements, each counted by itself, of which they share some."""
    return shared / (total - shared) if total else 0.0


@compiled
def reaches(left: Array64, right: Array64, threshold: float) -> bool:
    """Return whether the Jaccard index of two sorted arrays reaches `threshold`; the walk ends when that is certain."""
    total = left.size + right.size
    i, j, shared = 0, 0, 0
    while True:
        num_steps = min(left.size - i, right.size - j)
        if _index(shared, total) >= threshold:
            return True
        if num_steps == 0 or _index(shared + num_steps, total) < threshold:
            return False
        i, j, more = _advance(left, right, i, j, min(num_steps, _STEPS))
        shared += more


@compiled
def pair_jaccards(left: Indices, right: Indices, values: Array64, starts: Indices) -> NDArray[np.float64]:
    """Return the Jaccard index of the sets in rows `left[i]` and `right[i]`."""
    found = np.empty(left.size, np.float64)
    for pair in range(left.size):
        i, j = left[pair], right[pair]
        found[pair] = jaccard(values[starts[i] : starts[i + 1]], values[starts[j] : starts[j + 1]])
    return found


@compiled
def _similar(left: int, right: int, values: Array64, starts: Indices, threshold: float) -> bool:
    """Return whether the Jaccard index reaches `threshold`; sets of too different sizes are not compared."""
    first, second = values[starts[left] : starts[left + 1]], values[starts[right] : starts[right + 1]]
    if min(first.size, second.size) < threshold * max(first.size, second.size):
        return False
    return reaches(first, second, threshold)


@compiled
def join_buckets(
    members: Indices,
    bounds: Indices,
    rows: Indices,
    roots: Indices,
    content: Array64,
    values: Array64,
    starts: Indices,
    threshold: float,
    most_pairwise: int,
    num_representatives: int,
    left: Indices,
    right: Indices,
) -> int:
    """Write the edges that join the documents of each bucket whose true Jaccard index reaches `threshold`, into `left`
    and `right`; return their number, which is smaller than that of the documents.

    `rows` are the rows of the members' sets, `roots` the clusters that earlier bands have made: in a bucket whose pairs
    are all compared, documents of one cluster are not compared again. So the components do not depend on the order of
    the bands. In a bucket of up to `most_pairwise` every pair is compared. In a larger bucket each document is compared
    with the bucket's representatives (the first `num_representatives` documents unlike any before) and with its
    predecessor: linear in the bucket.
    """
    representatives = np.empty(num_representatives, np.int64)
    found = 0
    for bucket in range(bounds.size - 1):
        begin, size = bounds[bucket], bounds[bucket + 1] - bounds[bucket]
        if size <= most_pairwise:
            parents = np.arange(size)
            for i in range(size):
                for j in range(i):
                    if roots[members[begin + i]] == roots[members[begin + j]]:
                        union(parents, i, j)
                        break  # the others of that root are joined with j already
            for i in range(size):
                for j in range(i + 1, size):
                    if find(parents, i) != find(parents, j) and _similar(
                        rows[begin + i], rows[begin + j], values, starts, threshold
                    ):
                        union(parents, i, j)
                        left[found], right[found], found = members[begin + i], members[begin + j], found + 1
            continue
        order = begin + np.argsort(content[members[begin : begin + size]], kind="mergesort")
        known = 0
        for place in range(size):
            here, met = order[place], False
            for number in range(known + 1):
                if met or (number == known and place == 0):
                    break
                other = representatives[number] if number < known else order[place - 1]
                if _similar(rows[here], rows[other], values, starts, threshold):
                    met = True
                    left[found], right[found], found = members[here], members[other], found + 1
            if not met and known < num_representatives:
                representatives[known] = here
                known += 1
    return found
