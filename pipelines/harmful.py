"""Harmful content: two classifiers, toxic and adult, that judge a document in whole and in parts.

Decisions: a page is scored in one piece and in windows of consecutive sentences. Its score is the higher of the whole's
and of the second worst window's: a long page with a few harmful passages is found, and one window that the classifier
misreads does not condemn a page. The threshold is chosen on the same score that the stage applies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from pipelines.classifier import ClassifierConfig, Example, load_classifier, predict_scores, train_classifier
from pipelines.classifier_metrics import Scores
from pipelines.document import Verdict, split_batch

KINDS = ("toxic", "adult")

DEFAULT_CONFIG = ClassifierConfig(min_letters=3, max_letters=5, learning_rate=0.2)
"""Letter n-grams find words spelt to evade a filter."""

_SENTENCE_BORDER = re.compile(r"(?<=[.!?…])\s+|\n+")
_MIN_WINDOW_WORDS = 24
_MAX_WINDOW_WORDS = 96


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
        texts = batch.column("text").to_pylist()
        toxic = document_scores(load_classifier(self.toxic_model_path, self.toxic_model_sha256), texts)
        adult = document_scores(load_classifier(self.adult_model_path, self.adult_model_sha256), texts)
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
    windows = [sentence_windows(text) for text in texts]
    by_window = predict_scores(model, [window for each in windows for window in each])
    scores = predict_scores(model, texts)
    start = 0
    for index, each in enumerate(windows):
        if len(each) > 1:
            second_worst = np.partition(by_window[start : start + len(each)], -2)[-2]
            scores[index] = max(scores[index], second_worst)
        start += len(each)
    return scores


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
