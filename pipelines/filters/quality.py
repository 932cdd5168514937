"""Quality filter: a classifier of pages similar to reference pages, against the rest of the crawl.

Decisions:
- The threshold is a wanted keep rate, chosen on the documents that are judged (`keep_thresholds`). The threshold of the
  best F1 on labels is a trap where the reference pages are of one kind: it separates them from everything else, and
  next to nothing of a crawl is kept.
- Scores are not comparable between languages, so the rate holds in each. Documents in languages that the classifier saw
  too few examples of are kept unjudged, and their score is empty.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa

from lm.configuration import Doc, Range, settle
from pipelines.classifiers.fasttext_training import (
    ClassifierConfig,
    Example,
    load_classifier,
    predict_scores,
    train_classifier,
)
from pipelines.classifiers.metrics import Scores, threshold_for_share
from pipelines.classifiers.model_file import model_file
from pipelines.documents.schema import Judgement, Stage, Verdict, judged
from pipelines.documents.text_buffers import Texts
from pipelines.filters.language import identify_language

_NAME = "quality"
MODEL_FILE = model_file(_NAME)


FEWEST_EXAMPLES = 25
"""Examples of each class that a language must have to be judged."""


@dataclass(frozen=True, kw_only=True)
class QualityFilter(Stage):
    """Keep documents that score at least their language's threshold; adds `quality_score`, the probability of high
    quality, empty for languages that are not judged."""

    model_path: Annotated[str, Doc("The fastText model file.")]
    model_sha256: Annotated[str, Doc("The model file's sha256.")]
    threshold: Annotated[float, Doc("Lowest score of a kept document."), Range(0, 1)] = 0.5
    language_thresholds: Annotated[
        Mapping[str, float], Doc("Lowest score of a kept document by language, in place of the threshold."), Range(0, 1)
    ] = field(default_factory=dict)
    languages: Annotated[
        tuple[str, ...], Doc("Languages to score; documents in other languages are kept. Empty scores all.")
    ] = ()

    name: ClassVar[str] = "quality"

    def __post_init__(self) -> None:
        settle(self, "quality")

    def judge(self, batch: pa.RecordBatch) -> Judgement:
        """Score and judge every document."""
        texts = batch.column("text")
        languages = batch.column("language").to_pylist() if "language" in batch.schema.names else [None] * len(texts)
        scores = self.scores(texts).tolist()
        judging = [not self.languages or language is None or language in self.languages for language in languages]
        verdicts = [
            self._verdict(score, language) if is_judged else None
            for score, language, is_judged in zip(scores, languages, judging, strict=True)
        ]
        shown = [score if is_judged else None for score, is_judged in zip(scores, judging, strict=True)]
        return judged(batch, verdicts, {"quality_score": pa.array(shown, pa.float32())})

    def rules_off(self, language: str) -> tuple[str, ...]:
        """Return the score, in languages that are not judged."""
        return ("quality_score",) if self.languages and language not in self.languages else ()

    def scores(self, texts: Texts) -> Scores:
        """Return the probability of high quality for each text."""
        return predict_scores(load_classifier(self.model_path, self.model_sha256), texts)

    def _verdict(self, score: float, language: str | None) -> Verdict | None:
        threshold = self.language_thresholds.get(language or "", self.threshold)
        return None if score >= threshold else Verdict(rule="quality_score", value=score, threshold=threshold)


def keep_thresholds(
    scores: Scores, languages: Sequence[str | None], keep_share: float
) -> tuple[float, dict[str, float]]:
    """Return the threshold that keeps `keep_share` of all documents, and the one that does so in each language."""
    by_language: dict[str, list[float]] = defaultdict(list)
    for score, language in zip(scores.tolist(), languages, strict=True):
        if language is not None:
            by_language[language].append(score)
    own = {
        language: threshold_for_share(np.array(found), keep_share) for language, found in sorted(by_language.items())
    }
    return threshold_for_share(scores, keep_share), own


def train_quality_classifier(examples: Iterable[Example], config: ClassifierConfig, folder: Path) -> dict[str, Any]:
    """Train on `(text, is high quality)` and write `folder/quality.bin`.

    Returns the summary of `train_classifier`, and `languages`: those with enough examples of both classes to be judged;
    none where no language has, and then all are.

    Raises:
        InputError: a class is missing.
    """
    rows = list(examples)
    summary = train_classifier(rows, config, folder, name=_NAME)
    counts = Counter((identify_language(text)[0], label) for text, label in rows)
    return {**summary, "languages": judged_languages(counts)}


def judged_languages(counts: Mapping[tuple[str, bool], int]) -> list[str]:
    """Return the languages that have enough examples of both classes, from the number of each `(language, class)`."""
    enough = {key for key, number in counts.items() if number >= FEWEST_EXAMPLES}
    return sorted({language for language, _ in enough if {(language, True), (language, False)} <= enough})
