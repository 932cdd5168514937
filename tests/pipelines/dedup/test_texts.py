"""Near-duplicate removal among texts in memory."""

import random

import numpy as np
import pytest

from pipelines.dedup import lsh, minhash_reference
from pipelines.dedup.texts import deduplicate
from tests.pipelines.dedup.passages import words


def edited(original, share, seed):
    """The words with about `share` of them replaced."""
    generator = random.Random(seed)
    return [f"x{generator.random()}" if generator.random() < share else word for word in original]


def corpus():
    """Texts, and for each the number of the text that it was made from."""
    texts, origins = [], []
    for number in range(40):
        original = words(number, 200 + number)
        texts += [" ".join(original), " ".join(original).upper() + "!"]
        origins += [number, number]
        texts.append(" ".join(edited(original, 0.01, number)))
        origins.append(number if minhash_reference.jaccard(texts[-3], texts[-1], 5) >= 0.7 else 1000 + number)
    return texts, origins


def partition_of(labels):
    groups = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    return sorted(map(tuple, groups.values()))


def test_planted_duplicates_are_found_and_nothing_else():
    texts, origins = corpus()
    found = deduplicate(texts, num_hashes=128, num_bands=32, jaccard_threshold=0.7)
    assert partition_of(found.cluster_ids) == partition_of(origins)
    assert found.kept.sum() == len(set(origins))
    assert all(found.cluster_ids[i] <= i for i in range(len(texts)))


def test_clusters_do_not_depend_on_the_order():
    texts, _ = corpus()
    order = list(range(len(texts)))
    random.Random(3).shuffle(order)
    straight, mixed = deduplicate(texts), deduplicate([texts[i] for i in order])
    back = dict(enumerate(order))
    mixed_groups = sorted(tuple(sorted(back[i] for i in group)) for group in partition_of(mixed.cluster_ids))
    assert mixed_groups == partition_of(straight.cluster_ids)
    assert {texts[i] for i in np.flatnonzero(straight.kept)} == {texts[order[i]] for i in np.flatnonzero(mixed.kept)}


def test_the_longest_stays():
    text = " ".join(words(1, 300))
    assert deduplicate([text, text + " and more", text]).kept.tolist() == [False, True, False]


def test_candidates_are_verified():
    """With one row a band almost all that share anything meet; the Jaccard index still decides."""
    original = words(5, 300)
    texts = [" ".join(original), " ".join(edited(original, 0.05, 1))]
    index = minhash_reference.jaccard(*texts, 5)
    assert 0.5 < index < 0.8
    settings = {"num_hashes": 64, "num_bands": 64, "ngram": 5}
    assert deduplicate(texts, **settings, jaccard_threshold=0.8).kept.all()
    assert deduplicate(texts, **settings, jaccard_threshold=index - 1e-6).kept.sum() == 1
    assert deduplicate(texts, **settings, jaccard_threshold=index + 1e-6).kept.all()
    assert deduplicate(texts, **settings, jaccard_threshold=0).kept.sum() == 1


def test_a_giant_bucket_costs_linear_time_and_stays_whole(monkeypatch):
    """Hundreds of copies of a page with a counter in it all meet in one bucket."""
    original = words(9, 400)
    texts = [" ".join([*original, f"visitor {i}"]) for i in range(500)]
    found = deduplicate(texts)
    assert found.kept.sum() == 1
    random.Random(1).shuffle(texts)
    assert deduplicate(texts).kept.sum() == 1
    monkeypatch.setattr(lsh, "MOST_PAIRWISE", 10_000)
    assert deduplicate(texts).kept.sum() == 1


@pytest.mark.parametrize("name", ["articles_100", "articles_1000", "articles_2500"])
def test_planted_pairs_of_real_articles(shared_data, name):
    lines = shared_data(f"duplicates/{name}.train").read_text().splitlines()
    ids, texts = zip(*(line.split(" ", 1) for line in lines if line.strip()), strict=True)
    true = {
        frozenset(line.split()) for line in shared_data(f"duplicates/{name}.truth").read_text().splitlines() if line
    }
    found = deduplicate(texts)
    groups = [group for group in partition_of(found.cluster_ids) if len(group) > 1]
    pairs = {frozenset(ids[i] for i in group) for group in groups}
    assert pairs == true
