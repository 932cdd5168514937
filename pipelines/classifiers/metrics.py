"""Metrics of a binary classifier: ROC, precision and recall, calibration, and the choice of a threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]


def roc_auc(scores: Scores, labels: Labels) -> float:
    """Return the probability that a positive scores above a negative, ties counting half; 0.5 where a class is missing.

    AUC = (R - n(n+1)/2) / (n m), with n positives, m negatives and R the sum of the positives' mid-ranks
    (Mann-Whitney).
    """
    num_positive = int(labels.sum())
    num_negative = labels.size - num_positive
    if num_positive == 0 or num_negative == 0:
        return 0.5
    _, position, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = float(mid_ranks[position][labels].sum())
    return (rank_sum - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative)


def roc_curve(scores: Scores, labels: Labels, num_points: int = 64) -> list[tuple[float, float]]:
    """Return `(false positive rate, true positive rate)` from (0, 0) to (1, 1), at no more than `num_points`
    thresholds.
    """
    tallies = _tallies(scores, labels)
    chosen = np.unique(np.linspace(0, len(tallies) - 1, num_points).astype(int))
    num_positive, num_negative = max(1, int(labels.sum())), max(1, int((~labels).sum()))
    points = [(float(fp / num_negative), float(tp / num_positive)) for _, tp, fp in tallies[chosen]]
    return [(0.0, 0.0), *points]


def confusion(scores: Scores, labels: Labels, threshold: float) -> dict[str, float]:
    """Return precision, recall, F1, false positive rate and the share flagged where `score >= threshold` flags."""
    flagged = scores >= threshold
    true_positives = int((flagged & labels).sum())
    precision = true_positives / max(1, int(flagged.sum()))
    recall = true_positives / max(1, int(labels.sum()))
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(1e-12, precision + recall),
        "false_positive_rate": int((flagged & ~labels).sum()) / max(1, int((~labels).sum())),
        "flagged_share": float(flagged.mean()) if flagged.size else 0.0,
    }


def calibration(scores: Scores, labels: Labels, num_bins: int = 10) -> list[dict[str, float]]:
    """Return for each non-empty bin of equal width the number of scores, their mean, and the share of positives."""
    bins = np.minimum((scores * num_bins).astype(int), num_bins - 1)
    return [
        {
            "num": int((bins == index).sum()),
            "mean_score": float(scores[bins == index].mean()),
            "positive_share": float(labels[bins == index].mean()),
        }
        for index in np.unique(bins)
    ]


def threshold_for_precision(scores: Scores, labels: Labels, precision: float) -> float:
    """Return the lowest threshold with at least `precision`, or else the threshold of the highest precision."""
    tallies = _tallies(scores, labels)
    reached = tallies[:, 1] / (tallies[:, 1] + tallies[:, 2])
    enough = np.flatnonzero(reached >= precision)
    return float(tallies[enough[-1] if enough.size else int(np.argmax(reached)), 0])


def threshold_for_share(scores: Scores, share: float) -> float:
    """Return the highest threshold that flags at least `share` of the scores."""
    ordered = np.sort(scores)[::-1]
    return float(ordered[min(len(ordered) - 1, max(0, int(np.ceil(share * len(ordered))) - 1))])


def threshold_for_f1(scores: Scores, labels: Labels) -> float:
    """Return the threshold of the highest F1, in the middle of the gap to the next lower score to keep a margin."""
    tallies = _tallies(scores, labels)
    f1 = 2 * tallies[:, 1] / (tallies[:, 1] + tallies[:, 2] + max(1, int(labels.sum())))
    best = int(np.argmax(f1))
    below = tallies[best + 1, 0] if best + 1 < len(tallies) else 0.0
    return float((tallies[best, 0] + below) / 2)


def _tallies(scores: Scores, labels: Labels) -> NDArray[np.float64]:
    """Return rows `(threshold, true positives, false positives)`, one for each distinct score, from the highest
    down.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    true_positives = np.cumsum(labels[order])[last]
    return np.stack([ordered[last], true_positives, last + 1 - true_positives], axis=1).astype(np.float64)
