"""The quality classifier: does a page read like reference pages, or like the rest of the crawl."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pyarrow as pa

from lm.configuration import Doc, Range, settle
from pipelines.classifiers.fasttext_training import (
    ClassifierConfig,
    Example,
    load_classifier,
    predict_scores,
    train_classifier,
)
from pipelines.documents.schema import Judgement, Stage, Verdict, judged

MODEL_FILE = "quality.bin"


@dataclass(frozen=True, kw_only=True)
class QualityFilter(Stage):
    """Keep documents that score at least `threshold`; adds `quality_score`, the probability of high quality."""

    model_path: Annotated[str, Doc("The fastText model file.")]
    model_sha256: Annotated[str, Doc("The model file's sha256.")]
    threshold: Annotated[float, Doc("Lowest score of a kept document."), Range(0, 1)] = 0.5

    name: ClassVar[str] = "quality"

    def __post_init__(self) -> None:
        settle(self, "quality")

    def judge(self, batch: pa.RecordBatch) -> Judgement:
        """Score and judge every document."""
        model = load_classifier(self.model_path, self.model_sha256)
        scores = predict_scores(model, batch.column("text").to_pylist())
        verdicts = [
            None if score >= self.threshold else Verdict(rule="quality_score", value=score, threshold=self.threshold)
            for score in scores.tolist()
        ]
        return judged(batch, verdicts, {"quality_score": pa.array(scores, pa.float32())})


def train_quality_classifier(examples: Iterable[Example], config: ClassifierConfig, folder: Path) -> dict[str, Any]:
    """Train on `(text, is high quality)` and write `folder/quality.bin`; returns the summary of `train_classifier`.

    Raises:
        InputError: a class is missing.
    """
    return train_classifier(examples, config, folder, name=MODEL_FILE.removesuffix(".bin"))
