"""Connected components: those of a plain search, in every order of the edges."""

import random

import numpy as np
import pytest

from tests.pipelines.dedup.graphs import connected_components


def brute_components(num_nodes, edges):
    labels = list(range(num_nodes))
    changed = True
    while changed:
        changed = False
        for left, right in edges:
            least = min(labels[left], labels[right])
            changed |= labels[left] != labels[right]
            labels[left] = labels[right] = least
    return labels


@pytest.mark.parametrize("seed", range(5))
def test_components_are_those_of_the_graph_whatever_the_order(seed):
    generator = random.Random(seed)
    edges = [(generator.randrange(60), generator.randrange(60)) for _ in range(40)]
    expected = brute_components(60, edges)
    for _ in range(3):
        generator.shuffle(edges)
        left, right = zip(*(edge if generator.random() < 0.5 else edge[::-1] for edge in edges), strict=True)
        assert connected_components(60, left, right).tolist() == expected


def test_a_long_chain_and_no_edges():
    num_nodes = 200_000
    assert (connected_components(num_nodes, np.arange(num_nodes - 1), np.arange(1, num_nodes)) == 0).all()
    assert connected_components(3, [], []).tolist() == [0, 1, 2]
