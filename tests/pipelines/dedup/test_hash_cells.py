"""Hashes dealt into cells: the order of NumPy, whatever the hashes are."""

import numpy as np
import pytest

from pipelines.dedup.hash_cells import cells_of, sort_distinct


@pytest.mark.parametrize("size", [0, 1, 2, 3, 31, 32, 33, 64, 1_000, 20_000])
@pytest.mark.parametrize(
    "kind", ["at random", "each three times", "one value", "in few cells", "four values", "ascending", "descending"]
)
def test_distinct_hashes_are_sorted_as_numpy_does(size, kind):
    draw = np.random.default_rng(size)
    hashes = draw.integers(0, 2**64, size, dtype=np.uint64)
    hashes = {
        "at random": lambda: hashes,
        "each three times": lambda: draw.permutation(np.repeat(hashes, 3)),
        "one value": lambda: np.full(size, 2**64 - 1, np.uint64),
        "in few cells": lambda: hashes >> np.uint64(50),
        "four values": lambda: draw.choice(np.array([0, 1, 2**63, 2**64 - 1], np.uint64), size),
        "ascending": lambda: np.sort(hashes),
        "descending": lambda: np.sort(hashes)[::-1].copy(),
    }[kind]()
    out = np.empty_like(hashes)
    assert out[: sort_distinct(hashes, out)].tolist() == np.unique(hashes).tolist()


@pytest.mark.parametrize("size", [0, 1, 100, 50_000])
@pytest.mark.parametrize("bits_within", [2, 4])
def test_cells_begin_where_those_before_them_end(size, bits_within):
    hashes = np.random.default_rng(size).integers(0, 2**64, size, dtype=np.uint64)
    shift, starts = cells_of(hashes, bits_within)
    cells = np.sort(hashes >> np.uint64(shift))
    assert starts.tolist() == np.searchsorted(cells, np.arange(starts.size, dtype=np.uint64)).tolist()
    assert size <= starts.size << bits_within
