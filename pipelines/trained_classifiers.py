"""Classifiers as artifacts: trained from labels, published with measurements, applied as stages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lm import storage
from lm.code_version import source_digest
from lm.configuration import to_mapping
from lm.errors import InputError
from lm.storage import Artifact, Publication
from pipelines.classifier import ClassifierConfig
from pipelines.harmful import HarmfulFilter, train_harmful_classifiers
from pipelines.labels import read_labels
from pipelines.quality import QualityFilter, train_quality_classifier

MEASUREMENTS = "measurements.json"
_SCALARS = ("threshold", "roc_auc", "precision", "recall", "f1", "false_positive_rate", "num_train", "num_heldout")


def make_quality_classifier(labels: Path, target: Path, config: ClassifierConfig) -> Artifact:
    """Train on the rows of `labels` (`text`, `high_quality`) and publish `quality.bin` with its measurements."""

    def write(publication: Publication) -> None:
        found = train_quality_classifier(read_labels(labels, "high_quality"), config, publication.path)
        _write_measurements(publication, {"quality": found})

    return _make("quality_classifier", "pipelines.quality", labels, target, config, write)


def make_harmful_classifiers(labels: Path, target: Path, config: ClassifierConfig) -> Artifact:
    """Train on the rows of `labels` (`text`, `toxic`, `adult`) and publish `toxic.bin` and `adult.bin`."""

    def write(publication: Publication) -> None:
        toxic, adult = read_labels(labels, "toxic"), read_labels(labels, "adult")
        _write_measurements(publication, train_harmful_classifiers(toxic, adult, config, publication.path))

    return _make("harmful_classifiers", "pipelines.harmful", labels, target, config, write)


def measurements(classifiers: Artifact) -> dict[str, dict[str, Any]]:
    """What was measured on held-out labels, by classifier: thresholds, rates, curves, top words."""
    found: dict[str, dict[str, Any]] = json.loads(classifiers.file(MEASUREMENTS).read_text())
    return found


def quality_filter(classifier: Artifact, threshold: float | None = None) -> QualityFilter:
    """The stage that applies a quality classifier; `threshold` None takes the one chosen at training."""
    measured = measurements(classifier)["quality"]
    return QualityFilter(
        model_path=str(classifier.file("quality.bin")),
        model_sha256=classifier.files["quality.bin"].sha256,
        threshold=measured["threshold"] if threshold is None else threshold,
    )


def harmful_filter(
    classifiers: Artifact, toxic_threshold: float | None = None, adult_threshold: float | None = None
) -> HarmfulFilter:
    """The stage that applies the harmful-content classifiers; a threshold None takes the one chosen at training."""
    measured = measurements(classifiers)
    return HarmfulFilter(
        toxic_model_path=str(classifiers.file("toxic.bin")),
        toxic_model_sha256=classifiers.files["toxic.bin"].sha256,
        adult_model_path=str(classifiers.file("adult.bin")),
        adult_model_sha256=classifiers.files["adult.bin"].sha256,
        toxic_threshold=measured["toxic"]["threshold"] if toxic_threshold is None else toxic_threshold,
        adult_threshold=measured["adult"]["threshold"] if adult_threshold is None else adult_threshold,
    )


def _make(
    kind: str, module: str, labels: Path, target: Path, config: ClassifierConfig, write: Callable[[Publication], None]
) -> Artifact:
    if not labels.is_file():
        raise InputError(f"{labels}: no such file, expected labelled texts as JSON Lines or CSV")
    return storage.make(
        target,
        write,
        kind=kind,
        config=to_mapping(config),
        inputs={"labels": storage.sha256_of(labels)},
        code=source_digest(module),
    )


def _write_measurements(publication: Publication, found: Mapping[str, Mapping[str, Any]]) -> None:
    storage.write_json(publication.path / MEASUREMENTS, found)
    for kind, figures in found.items():
        publication.summary.update({f"{kind}_{name}": figures[name] for name in _SCALARS})
