"""The metrics of a binary classifier against their plain definitions."""

import itertools

import numpy as np
import pytest

from pipelines.classifiers.metrics import (
    calibration,
    confusion,
    roc_auc,
    roc_curve,
    threshold_for_f1,
    threshold_for_precision,
    threshold_for_share,
)


def test_roc_auc_is_the_chance_that_a_positive_ranks_higher():
    chooser = np.random.default_rng(0)
    scores, labels = chooser.integers(0, 12, 80) / 12, chooser.random(80) < 0.4
    pairs = list(itertools.product(scores[labels], scores[~labels]))
    expected = sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)
    assert roc_auc(scores, labels) == pytest.approx(expected)
    assert roc_auc(scores, np.ones(80, bool)) == 0.5


def test_the_area_under_the_roc_curve_is_the_auc():
    chooser = np.random.default_rng(1)
    labels = chooser.random(300) < 0.3
    scores = np.round(np.clip(chooser.normal(0.4 + 0.2 * labels, 0.2), 0, 1), 2)
    points = roc_curve(scores, labels, num_points=1_000)
    area = sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in itertools.pairwise(points))
    assert area == pytest.approx(roc_auc(scores, labels))
    assert points[0] == (0, 0)
    assert points[-1] == (1, 1)
    assert len(roc_curve(scores, labels, num_points=10)) <= 11


def test_thresholds_do_what_was_wanted():
    chooser = np.random.default_rng(2)
    labels = chooser.random(500) < 0.5
    scores = np.clip(chooser.normal(0.4 + 0.2 * labels, 0.15), 0, 1)
    precise = threshold_for_precision(scores, labels, 0.95)
    assert confusion(scores, labels, precise)["precision"] >= 0.95
    lower = np.sort(scores[scores < precise])[::-1]
    assert all(confusion(scores, labels, t)["precision"] < 0.95 for t in lower)
    assert confusion(scores, labels, threshold_for_share(scores, 0.3))["flagged_share"] == pytest.approx(0.3)
    best = confusion(scores, labels, threshold_for_f1(scores, labels))["f1"]
    assert best == pytest.approx(max(confusion(scores, labels, t)["f1"] for t in scores))


def test_confusion_and_calibration_by_hand():
    scores, labels = np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, False, True, False])
    found = confusion(scores, labels, 0.5)
    assert found == {
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "false_positive_rate": 0.5,
        "flagged_share": 0.5,
    }
    assert calibration(np.array([0.95, 1.0, 0.05]), np.array([True, False, False])) == [
        {"num": 1, "mean_score": 0.05, "positive_share": 0.0},
        {"num": 2, "mean_score": pytest.approx(0.975), "positive_share": 0.5},
    ]
