"""LSH buckets and duplicate clusters out of core: the same for any slices, threads and order."""

import random

import numpy as np
import pytest

from pipelines.dedup import lsh
from pipelines.dedup.lsh import ShingleSets, candidates, cluster, find_buckets
from pipelines.dedup.lsh_kernels import jaccard
from pipelines.dedup.minhash import Bands
from tests.pipelines.dedup.graphs import connected_components

NUM_BANDS = 3


def tables(seed, sizes=(300, 0, 200), num_keys=150):
    """Band keys at random, in tables of several sizes; every seventh document has none."""
    generator = np.random.default_rng(seed)
    found, first = [], 0
    spread = np.uint64(2**64 // num_keys)
    for size in sizes:
        members = np.array([first + i for i in range(size) if (first + i) % 7], np.int64)
        keys = generator.integers(0, num_keys, (NUM_BANDS, members.size)).astype(np.uint64) * spread
        found.append(Bands(members, keys, generator.integers(0, 2**60, members.size).astype(np.uint64)))
        first += size
    return found, first


def plain_buckets(found, band, among=None):
    groups = {}
    for table in found:
        for key, member in zip(table.keys[band].tolist(), table.members.tolist(), strict=True):
            if among is None or among[member]:
                groups.setdefault(key, []).append(member)
    return [group for _, group in sorted(groups.items()) if len(group) > 1]


def listed(band):
    return [
        block.members[begin:end].tolist()
        for block in band
        for begin, end in zip(block.starts[:-1], block.starts[1:], strict=True)
    ]


@pytest.mark.parametrize("memory_bytes", [2**30, 20_000, 2_000])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_buckets_are_those_of_a_dictionary(tmp_path, memory_bytes, num_threads):
    found, num_documents = tables(1)
    expected = [plain_buckets(found, band) for band in range(NUM_BANDS)]
    on_disk = find_buckets(found, tmp_path / "b", memory_bytes=memory_bytes, num_threads=num_threads)
    assert [listed(band) for band in on_disk] == expected
    assert (len(on_disk[0]) > 1) == (memory_bytes < 2**30)
    assert not list((tmp_path / "b").glob("*.rows"))
    assert [listed(band) for band in find_buckets(found)] == expected
    met = {member for band in expected for group in band for member in group}
    assert set(np.flatnonzero(candidates(on_disk, num_documents)).tolist()) == met


def test_documents_left_out_meet_nobody(tmp_path):
    found, num_documents = tables(2)
    among = np.random.default_rng(0).random(num_documents) < 0.5
    for folder, memory_bytes in ((None, 2**30), (tmp_path / "b", 3_000)):
        left = find_buckets(found, folder, among=among, memory_bytes=memory_bytes)
        assert [listed(band) for band in left] == [plain_buckets(found, band, among) for band in range(NUM_BANDS)]


def test_no_documents_at_all(tmp_path):
    empty = [Bands(np.empty(0, np.int64), np.empty((2, 0), np.uint64), np.empty(0, np.uint64))]
    assert [listed(band) for band in find_buckets(empty, tmp_path / "b")] == [[], []]
    assert find_buckets([]) == []


def families(num_documents, seed):
    """Shingle sets of which those of one family share most."""
    generator = random.Random(seed)
    sets = []
    for document in range(num_documents):
        family = document % 11
        own = generator.sample(range(10**6, 2 * 10**6), generator.randrange(1, 30))
        sets.append(np.unique(np.array([*range(family * 100, family * 100 + 60), *own], np.uint64)))
    return sets


def brute_clusters(found, sets, num_documents, threshold):
    left, right = [], []
    for band in range(NUM_BANDS):
        for group in plain_buckets(found, band):
            for place, one in enumerate(group):
                for other in group[place + 1 :]:
                    if jaccard(sets[one], sets[other]) >= threshold:
                        left.append(one)
                        right.append(other)
    return connected_components(num_documents, left, right)


@pytest.mark.parametrize("num_keys", [150, 12])  # buckets of a few, and of fifty
def test_clusters_are_the_components_of_all_verified_pairs(tmp_path, num_keys, monkeypatch):
    found, num_documents = tables(3, num_keys=num_keys)
    sets = families(num_documents, 1)
    content = np.arange(num_documents, dtype=np.uint64)
    expected = brute_clusters(found, sets, num_documents, 0.6)
    assert 11 < np.unique(expected).size < num_documents
    monkeypatch.setattr(lsh, "_ROWS_PER_TASK", 40)
    for folder, memory_bytes, num_threads in ((None, 2**30, 1), (tmp_path / "b", 2_000, 3)):
        met = find_buckets(found, folder, memory_bytes=memory_bytes)
        who = np.flatnonzero(candidates(met, num_documents))
        held = ShingleSets.of(who, [sets[index] for index in who])
        assert (cluster(met, held, content, 0.6, num_threads=num_threads) == expected).all()


def test_a_large_bucket_is_judged_in_an_order_of_its_own():
    """Beyond the representatives it is the order of `content` that counts: the same clusters in every order."""
    num_documents, generator = 400, random.Random(5)
    families_of = [generator.randrange(60) for _ in range(num_documents)]  # more families than representatives
    content = np.random.default_rng(5).permutation(num_documents).astype(np.uint64)

    def clusters(order):
        sets = [np.arange(families_of[i] * 10, families_of[i] * 10 + 9, dtype=np.uint64) for i in order]
        members = np.arange(num_documents)
        bands = [Bands(members, np.zeros((2, num_documents), np.uint64), content[order])]
        labels = cluster(find_buckets(bands), ShingleSets.of(members, sets), content[order], 0.9)
        groups = {}
        for place, label in enumerate(labels.tolist()):
            groups.setdefault(label, set()).add(int(order[place]))
        return sorted(map(sorted, groups.values()))

    straight = clusters(np.arange(num_documents))
    assert straight == clusters(np.random.default_rng(6).permutation(num_documents))
    assert all(len({families_of[i] for i in group}) == 1 for group in straight)


def test_jaccard_of_pairs():
    sets = ShingleSets.of(np.array([2, 5, 9]), [np.array(s, np.uint64) for s in ([1, 2, 3], [2, 3, 4], [])])
    assert sets.jaccard(np.array([2, 5, 9]), np.array([5, 5, 2])).tolist() == [0.5, 1.0, 0.0]
