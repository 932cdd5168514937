"""The winner of each cluster of duplicates."""

import itertools

import numpy as np

from pipelines.dedup.clusters import Ranking, choose_winners, group_labels


def ranking(doc_ids, lengths, qualities):
    return Ranking(doc_ids=doc_ids, lengths=np.array(lengths), qualities=np.array(qualities, float))


def test_quality_then_length_then_id():
    labels = np.zeros(4, np.int64)

    def winner(*columns):
        return choose_winners(labels, ranking(*columns).positions())[0]

    assert winner("abcd", [1, 2, 3, 4], [0.1, 0.9, 0.2, float("nan")]) == 1
    assert winner("abcd", [1, 4, 3, 4], [0.5, 0.5, 0.5, 0.5]) == 1
    assert winner("dcab", [4, 4, 4, 4], [0.5, 0.5, 0.5, 0.5]) == 2
    assert winner("aaaa", [4, 4, 4, 4], [0.5, 0.5, 0.5, 0.5]) == 0


def test_the_winner_does_not_depend_on_the_order():
    rows = [("a", 3, 0.5), ("b", 3, 0.5), ("c", 9, 0.4), ("d", 3, float("nan"))]
    for seed in (None, 1, 2):
        winners = set()
        for order in itertools.permutations(rows):
            positions = ranking(*zip(*order, strict=True)).positions(seed)
            winners.add(order[choose_winners(np.zeros(4, np.int64), positions)[0]][0])
        assert len(winners) == 1


def test_a_seed_draws_every_member_now_and_then():
    documents = ranking("abcd", [1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4])
    drawn = {int(choose_winners(np.zeros(4, np.int64), documents.positions(seed))[0]) for seed in range(60)}
    assert drawn == {0, 1, 2, 3}


def test_each_cluster_has_its_own_winner():
    positions = ranking("abcde", [1, 2, 3, 4, 5], [0] * 5).positions()
    assert choose_winners(np.array([0, 1, 0, 1, 4]), positions).tolist() == [2, 3, 2, 3, 4]


def test_labels_of_equal_keys():
    assert group_labels(["x", "y", "x", "z", "y"]).tolist() == [0, 1, 0, 3, 1]
