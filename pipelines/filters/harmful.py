"""Harmful content: two classifiers, toxic and adult, that judge a document in whole and in parts.

Decisions: a page is scored in windows of consecutive sentences and as a whole. Its score is the higher of the whole's
and of the second worst window's: a long page with a few harmful passages is found, and one window that the classifier
misreads does not condemn a page. The whole's log-odds are the mean of the windows', weighted by words: fastText is
linear in the mean of its features, so this is what scoring in one piece gives, but for n-grams across borders and
windows that are certain beyond 1e-5. The threshold is chosen on the same score that the stage applies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.classifiers.fasttext_training import (
    ClassifierConfig,
    Example,
    linear_scorer,
    load_classifier,
    predict_scores,
    train_classifier,
)
from pipelines.classifiers.metrics import Scores
from pipelines.documents.schema import Verdict, split_batch

KINDS = ("toxic", "adult")

DEFAULT_CONFIG = ClassifierConfig(min_letters=3, max_letters=5, learning_rate=0.2)
"""Letter n-grams find words spelt to evade a filter."""

_SENTENCE_BORDER = re.compile(r"(?<=[.!?…])\s+|\n+")
_MIN_WINDOW_WORDS = 24
_MAX_WINDOW_WORDS = 96
_CERTAIN = 1e-5  # fastText adds this to every probability


@dataclass(frozen=True, kw_only=True)
class HarmfulFilter:
    """Keep documents that score below both thresholds; adds `toxic_score` and `adult_score`."""

    toxic_model_path: str
    toxic_model_sha256: str
    adult_model_path: str
    adult_model_sha256: str
    toxic_threshold: float = 0.5
    adult_threshold: float = 0.5

    name: ClassVar[str] = "harmful"

    def __call__(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Score every document for both kinds and remove it by the first that reaches its threshold."""
        from pipelines.classifiers.fasttext_scoring import document_bytes

        documents = document_bytes(batch.column("text").to_pylist())
        toxic = _scores(load_classifier(self.toxic_model_path, self.toxic_model_sha256), documents)
        adult = _scores(load_classifier(self.adult_model_path, self.adult_model_sha256), documents)
        columns = {"toxic_score": pa.array(toxic, pa.float32()), "adult_score": pa.array(adult, pa.float32())}
        verdicts = [self._verdict(*scores) for scores in zip(toxic.tolist(), adult.tolist(), strict=True)]
        return split_batch(batch, self.name, verdicts, columns)

    def _verdict(self, toxic: float, adult: float) -> Verdict | None:
        for rule, score, threshold in (("toxic", toxic, self.toxic_threshold), ("adult", adult, self.adult_threshold)):
            if score >= threshold:
                return Verdict(rule=rule, value=score, threshold=threshold)
        return None


def train_harmful_classifiers(
    toxic: Iterable[Example], adult: Iterable[Example], config: ClassifierConfig, folder: Path
) -> dict[str, dict[str, Any]]:
    """Train on `(text, is toxic)` and `(text, is adult)`; write `folder/toxic.bin` and `folder/adult.bin`.

    Returns the summary of `train_classifier` by kind.

    Raises:
        InputError: a class is missing.
    """
    examples = dict(zip(KINDS, (toxic, adult), strict=True))
    return {
        kind: train_classifier(rows, config, folder, name=kind, score=document_scores)
        for kind, rows in examples.items()
    }


def document_scores(model: Any, texts: Sequence[str]) -> Scores:
    """The probability of harm for each document: the higher of the whole's and the second worst window's."""
    from pipelines.classifiers.fasttext_scoring import document_bytes  # it imports numba, which is slow to import

    return _scores(model, document_bytes(texts))


def _scores(model: Any, documents: bytes) -> Scores:
    found = linear_scorer(model).windows(documents, _MIN_WINDOW_WORDS, _MAX_WINDOW_WORDS)
    scores = np.zeros(found.num_windows.size)
    with_windows = np.flatnonzero(found.num_windows)
    if with_windows.size == 0:
        return scores
    num_windows = found.num_windows[with_windows]
    starts = np.cumsum(num_windows) - num_windows
    whole = _whole_scores(found.scores, found.num_words, starts)
    descending = found.scores[np.lexsort((-found.scores, np.repeat(np.arange(with_windows.size), num_windows)))]
    second = np.where(num_windows > 1, descending[starts + (num_windows > 1)], 0.0)
    scores[with_windows] = np.maximum(whole, second)
    return scores


def _whole_scores(window_scores: Scores, num_words: NDArray[np.int64], starts: NDArray[np.int64]) -> Scores:
    """The score of each whole from its windows': the logistic function of the mean log-odds, weighted by words."""
    clipped = np.clip(window_scores, _CERTAIN, 1 - _CERTAIN)
    log_odds = np.add.reduceat(np.log(clipped / (1 - clipped)) * num_words, starts)
    found: Scores = 1 / (1 + np.exp(-log_odds / np.add.reduceat(num_words, starts)))
    return found


def sentence_windows(text: str) -> list[str]:
    """`text` in windows of consecutive whole sentences of at least 24 words; a sentence over 96 words is cut."""
    windows: list[list[str]] = [[]]
    for sentence in _SENTENCE_BORDER.split(text):
        words = sentence.split()
        for start in range(0, len(words), _MAX_WINDOW_WORDS):
            if len(windows[-1]) >= _MIN_WINDOW_WORDS:
                windows.append([])
            windows[-1] += words[start : start + _MAX_WINDOW_WORDS]
    return [" ".join(window) for window in windows if window]


def sentence_scores(model: Any, text: str) -> list[tuple[str, float]]:
    """Every window of `text` with its probability of harm, to show what in a document is harmful."""
    windows = sentence_windows(text)
    return list(zip(windows, predict_scores(model, windows).tolist(), strict=True))
