"""Compiled radix partitioning: hashes by their upper bits, for linear-time sorting and grouping."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lm.compiled import compiled

Array64 = NDArray[np.uint64]

_MOST_INSERTED = 32


@compiled
def cells_of(hashes: Array64, bits_within: int) -> tuple[np.uint64, NDArray[np.int64]]:
    """Return the shift that gives a hash its cell, and the place of the first hash of every cell.

    A cell has about `2**bits_within` hashes, since hashes are spread evenly; there are at most `2**20` cells.
    """
    bits = 1
    while bits < 20 and hashes.size >> (bits + bits_within):
        bits += 1
    shift = np.uint64(64 - bits)
    starts = np.zeros(1 << bits, np.int64)
    for value in hashes:
        starts[value >> shift] += 1
    total = 0
    for cell in range(starts.size):
        starts[cell], total = total, total + starts[cell]
    return shift, starts


@compiled
def sort_distinct(hashes: Array64, out: Array64) -> int:
    """Write the distinct values, sorted, into `out`, which is as long as `hashes`; return their number.

    The values are hashes: their upper bits deal them evenly into cells of about four, so the whole is linear. A larger
    cell, as equal values fill it, is sorted by merging.
    """
    shift, ends = cells_of(hashes, 2)
    for value in hashes:
        out[ends[value >> shift]] = value
        ends[value >> shift] += 1
    begin, found = 0, 0
    for cell in range(ends.size):
        end = ends[cell]
        if end - begin > _MOST_INSERTED:
            part = out[begin:end].copy()
            out[begin:end] = part[np.argsort(part, kind="mergesort")]
        else:
            for index in range(begin + 1, end):
                value, place = out[index], index
                while place > begin and out[place - 1] > value:
                    out[place] = out[place - 1]
                    place -= 1
                out[place] = value
        for index in range(begin, end):  # never ahead of what is still to be read
            if found == 0 or out[found - 1] != out[index]:
                out[found] = out[index]
                found += 1
        begin = end
    return found
