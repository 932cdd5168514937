"""Compiled loops over LSH buckets: groups against a dictionary, similarity against sets, joins against all pairs."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dedup.lsh_kernels import group_equal, jaccard, join_buckets, pair_jaccards, reaches
from tests.pipelines.dedup.graphs import connected_components

SETS = st.lists(st.sets(st.integers(0, 12), max_size=8), min_size=2, max_size=12)


def stored(sets):
    """Sorted values of all sets, one after the other, and where each begins."""
    rows = [np.array(sorted(each), np.uint64) for each in sets]
    return np.concatenate([np.empty(0, np.uint64), *rows]), np.cumsum([0, *map(len, rows)], dtype=np.int64)


def index_of(left, right):
    return len(left & right) / len(left | right) if left | right else 0.0


@settings(max_examples=60)
@given(st.lists(st.integers(0, 6), max_size=200), st.sampled_from([1, 2**32 + 1, 2**61]))
def test_groups_are_those_of_a_dictionary(keys, spread):
    groups = {}
    for member, key in enumerate(keys):
        groups.setdefault(key * spread % 2**64, []).append(1000 + member)
    members = np.arange(1000, 1000 + len(keys))
    whose, starts = group_equal(np.array([key * spread % 2**64 for key in keys], np.uint64), members)
    found = [whose[begin:end].tolist() for begin, end in itertools.pairwise(starts)]
    assert found == [group for _, group in sorted(groups.items()) if len(group) > 1]


@settings(max_examples=100)
@given(SETS)
def test_the_index_is_that_of_sets(sets):
    values, starts = stored(sets)
    left, right = np.array(list(itertools.combinations(range(len(sets)), 2))).T
    found = pair_jaccards(left, right, values, starts)
    assert found.tolist() == [index_of(sets[i], sets[j]) for i, j in zip(left, right, strict=True)]
    assert jaccard(values[: starts[1]], values[: starts[1]]) == (1.0 if sets[0] else 0.0)


@pytest.mark.parametrize("threshold", [0.0, 1 / 3, 0.5, 0.55, 1.0])
def test_a_walk_that_ends_early_says_what_the_whole_one_does(threshold):
    dice = np.random.default_rng(5)
    for size in (0, 1, 3, 70, 300):
        for share in np.linspace(0, 1, 40):
            drawn = np.unique(dice.integers(0, 2**63, 2 * size).astype(np.uint64))
            left = drawn[dice.random(drawn.size) < (1 + share) / 2]
            right = drawn[dice.random(drawn.size) < (1 + share) / 2]
            assert reaches(left, right, threshold) == (jaccard(left, right) >= threshold)
    assert reaches(np.arange(3, dtype=np.uint64), np.arange(9, dtype=np.uint64), 1 / 3)


@settings(max_examples=60)
@given(SETS, st.sampled_from([0.3, 0.5, 1.0]), st.data())
def test_joins_give_the_components_of_all_pairs_that_are_alike(sets, threshold, data):
    """Of one bucket with everything in it, whatever clusters earlier bands made of documents that are alike."""
    num = len(sets)
    alike = [(i, j) for i, j in itertools.combinations(range(num), 2) if index_of(sets[i], sets[j]) >= threshold]
    earlier = data.draw(st.lists(st.sampled_from(alike), max_size=3)) if alike else []
    roots = connected_components(num, [i for i, _ in earlier], [j for _, j in earlier])
    left, right = np.empty(num, np.int64), np.empty(num, np.int64)
    everyone = np.arange(num)
    content = np.array(data.draw(st.permutations(range(num))), np.uint64)
    found = join_buckets(
        everyone, np.array([0, num]), everyone, roots, content, *stored(sets), threshold, num, 4, left, right
    )
    edges = list(zip(left[:found].tolist(), right[:found].tolist(), strict=True))
    assert all(index_of(sets[i], sets[j]) >= threshold for i, j in edges)
    joint = connected_components(num, *zip(*[*edges, *earlier], strict=True)) if edges or earlier else everyone
    expected = connected_components(num, *zip(*alike, strict=True)) if alike else everyone
    assert joint.tolist() == expected.tolist()


@pytest.mark.parametrize("num_representatives", [1, 3])
def test_a_large_bucket_joins_only_what_is_alike(num_representatives):
    sets = [{number // 4 * 10 + place for place in range(8)} | {1000 + number} for number in range(40)]
    values, starts = stored(sets)
    left, right = np.empty(40, np.int64), np.empty(40, np.int64)
    everyone = np.arange(40)
    found = join_buckets(
        everyone, np.array([0, 40]), everyone, everyone, everyone.astype(np.uint64), values, starts, 0.7, 10,
        num_representatives, left, right,
    )  # fmt: skip
    joint = connected_components(40, left[:found], right[:found])
    assert joint.tolist() == [number // 4 * 4 for number in range(40)]  # each document follows one of its family
