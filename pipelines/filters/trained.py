"""Classifiers as artifacts: trained from labels, published with measurements, applied as stages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lm import storage
from lm.code_version import source_digest
from lm.configuration import to_mapping
from lm.errors import InputError
from lm.storage import Artifact, Publication
from pipelines.classifiers.fasttext_training import ClassifierConfig, Example
from pipelines.filters.harmful import KINDS, HarmfulFilter, train_harmful_classifiers
from pipelines.filters.labels import LabelFile, read_labels
from pipelines.filters.quality import QualityFilter, train_quality_classifier
from pipelines.filters.reference_pages import LabelledPages, labelled_pages

MEASUREMENTS = "measurements.json"
_SCALARS = ("threshold", "roc_auc", "precision", "recall", "f1", "false_positive_rate", "num_train", "num_heldout")


def make_quality_classifier(labels: Path, target: Path, config: ClassifierConfig) -> Artifact:
    """Train on the rows of `labels` (`text`, `high_quality`) and publish `quality.bin` with its measurements."""

    def write(publication: Publication) -> None:
        found = train_quality_classifier(read_labels(labels, "high_quality"), config, publication.path)
        _write_measurements(publication, {"quality": found})

    return _make(
        "quality_classifier", "pipelines.filters.quality", {"labels": labels}, target, to_mapping(config), write
    )


def make_quality_classifier_of_pages(pages: LabelledPages, target: Path, config: ClassifierConfig) -> Artifact:
    """Train on reference pages against pages of a crawl, and publish `quality.bin` with its measurements.

    Raises:
        InputError: a file is missing or cannot be read, or too few pages pass the filters.
    """

    def write(publication: Publication) -> None:
        examples, counts = labelled_pages(pages)
        _write_measurements(publication, {"quality": train_quality_classifier(examples, config, publication.path)})
        publication.summary.update(counts)

    settings = {**to_mapping(config), "filters": to_mapping(pages.filters), "max_pages": pages.max_pages}
    return storage.make(
        target,
        write,
        kind="quality_classifier",
        config=settings,
        inputs=pages.digests(),
        code=source_digest("pipelines.filters.trained"),
    )


def make_harmful_classifiers(
    labels: Path | Mapping[str, LabelFile], target: Path, config: ClassifierConfig
) -> Artifact:
    """Train on the rows of `labels` and publish `toxic.bin` and `adult.bin`.

    `labels` is one file with the fields `text`, `toxic` and `adult`, or a file for each of the two with its fields.
    """
    if isinstance(labels, Path):
        labels = {kind: LabelFile(path=str(labels)) for kind in KINDS}
    files = {kind: Path(labels[kind].path or "") for kind in KINDS}
    settings = {**to_mapping(config), "labels": {kind: _names(kind, labels[kind]) for kind in KINDS}}

    def write(publication: Publication) -> None:
        toxic, adult = (_examples(kind, labels[kind]) for kind in KINDS)
        _write_measurements(publication, train_harmful_classifiers(toxic, adult, config, publication.path))

    return _make("harmful_classifiers", "pipelines.filters.harmful", files, target, settings, write)


def _names(kind: str, file: LabelFile) -> dict[str, Any]:
    """What stands in the configuration of a label file: its fields, and not where it lies."""
    return {"text": file.text, "label": file.label or kind, "positive": list(file.positive)}


def _examples(kind: str, file: LabelFile) -> Iterator[Example]:
    return read_labels(file.path or "", file.label or kind, text=file.text, positive=file.positive)


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
    kind: str,
    module: str,
    labels: Mapping[str, Path],
    target: Path,
    config: Mapping[str, Any],
    write: Callable[[Publication], None],
) -> Artifact:
    for path in labels.values():
        if not path.is_file():
            raise InputError(f"{path}: no such file, expected labelled texts as JSON Lines or CSV")
    return storage.make(
        target,
        write,
        kind=kind,
        config=dict(config),
        inputs={name: storage.sha256_of(path) for name, path in labels.items()},
        code=source_digest(module),
    )


def _write_measurements(publication: Publication, found: Mapping[str, Mapping[str, Any]]) -> None:
    storage.write_json(publication.path / MEASUREMENTS, found)
    for kind, figures in found.items():
        publication.summary.update({f"{kind}_{name}": figures[name] for name in _SCALARS})
