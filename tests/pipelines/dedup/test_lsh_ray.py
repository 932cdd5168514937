"""The star operations on a graph's edges find its components."""

import numpy as np
import pyarrow as pa
import pytest

from pipelines.dedup.lsh_ray import _addressed, _large_star, _small_star
from tests.pipelines.dedup.graphs import connected_components


def components_by_stars(num_nodes, left, right, parts):
    """The two stars in turn until nothing changes, the edges of each part together, as the cluster does it."""

    def step(edges, star, both_ways):
        sent = _addressed(parts, both_ways, edges)
        found = [star(sent.filter(pa.compute.equal(sent["part"], part))) for part in range(parts)]
        return pa.concat_tables([table for table in found if table.num_rows])

    edges, before = pa.table({"node": np.maximum(left, right), "neighbour": np.minimum(left, right)}), None
    rounds = 0
    while (now := sorted(zip(*edges.to_pydict().values(), strict=True))) != before:
        before, rounds = now, rounds + 1
        edges = step(step(edges, _large_star, True), _small_star, False)
    labels = np.arange(num_nodes)
    labels[edges["node"].to_numpy()] = edges["neighbour"].to_numpy()
    return labels, rounds


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_stars_find_the_components_of_random_graphs(parts, seed):
    random = np.random.default_rng(seed)
    ends = random.integers(0, 300, (2, 220))
    left, right = ends[:, ends[0] != ends[1]]
    labels, _ = components_by_stars(300, left, right, parts)
    assert np.array_equal(labels, connected_components(300, left, right))


def test_a_long_chain_shrinks_fast():
    order = np.random.default_rng(1).permutation(2_000)
    labels, rounds = components_by_stars(2_000, order[:-1], order[1:], 2)
    assert (labels == 0).all() and rounds < 14
