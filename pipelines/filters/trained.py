"""Classifiers as artifacts: trained from labels, published with measurements, applied as stages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lm import storage
from lm.code_version import source_digest
from lm.configuration import to_mapping
from lm.errors import InputError
from lm.storage import Artifact, Publication
from pipelines.classifiers.fasttext_training import ClassifierConfig, Example
from pipelines.filters.harm_calibration import WANTED_FALSE_POSITIVE_RATE, crawl_threshold, train_harmful_classifiers
from pipelines.filters.harmful import KINDS, HarmfulFilter, HarmScale
from pipelines.filters.labels import LabelFile, field_names, read_labels
from pipelines.filters.quality import QualityFilter, train_quality_classifier
from pipelines.filters.reference_pages import LabelledPages, labelled_pages

MEASUREMENTS = "measurements.json"
_SCALARS = ("threshold", "roc_auc", "precision", "recall", "f1", "false_positive_rate", "num_train", "num_heldout")


def make_quality_classifier(labels: Path, target: Path, config: ClassifierConfig) -> Artifact:
    """Train on the rows of `labels` (`text`, `high_quality`) and publish `quality.bin` with its measurements."""

    def write(publication: Publication) -> None:
        found = train_quality_classifier(read_labels(labels, "high_quality"), config, publication.path)
        _write_measurements(publication, {"quality": found})

    module, settings = "pipelines.filters.quality", to_mapping(config)
    return _make("quality_classifier", module, {"labels": labels}, target, settings, write)


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
    """Train on the rows of `labels` and publish `toxic.bin`, `adult.bin` or both.

    `labels` is one file with the fields `text` and `toxic`, `adult` or both, or a file for each kind with its fields.
    The summary names the kinds without labels; they are not judged.

    Raises:
        InputError: a file is missing or cannot be read, or has no label of either kind.
    """
    if isinstance(labels, Path):
        labels = labelled_kinds(LabelFile(path=str(labels)))
    files = {kind: Path(file.path or "") for kind, file in labels.items()}
    settings = {**to_mapping(config), "labels": {kind: _names(kind, file) for kind, file in labels.items()}}

    def write(publication: Publication) -> None:
        examples = {kind: _examples(kind, file) for kind, file in labels.items()}
        _write_measurements(publication, train_harmful_classifiers(examples, config, publication.path))
        publication.summary["kinds_without_labels"] = [kind for kind in KINDS if kind not in labels]

    return _make("harmful_classifiers", "pipelines.filters.harm_calibration", files, target, settings, write)


def labelled_kinds(file: LabelFile) -> dict[str, LabelFile]:
    """A file of labels for each kind of harm that it has a field for, with at least one text that has the label.

    Raises:
        InputError: the file cannot be read or has no harmful text.
    """
    names = field_names(file.path or "")
    fields = {kind: replace(file, label=kind) for kind in KINDS if kind in names}
    found = {kind: each for kind, each in fields.items() if any(label for _, label in _examples(kind, each))}
    if not found:
        raise InputError(
            f"{file.path}: no harmful text in the fields {', '.join(names)}, expected a field {' or '.join(KINDS)}"
        )
    return found


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
    classifiers: Artifact,
    toxic_threshold: float | None = None,
    adult_threshold: float | None = None,
    *,
    pages: Sequence[str] = (),
    wanted_false_positive_rate: float = WANTED_FALSE_POSITIVE_RATE,
) -> HarmfulFilter:
    """The stage that applies the harmful-content classifiers.

    A threshold None is the one chosen at training; where `pages` of the crawl are given, the one that flags the wanted
    share of the harmless ones (`pipelines.filters.harm_calibration`).
    """
    fixed = {"toxic": toxic_threshold, "adult": adult_threshold}
    fields: dict[str, Any] = {}
    for kind, found in measurements(classifiers).items():
        fields[f"{kind}_model_path"] = str(classifiers.file(f"{kind}.bin"))
        fields[f"{kind}_model_sha256"] = classifiers.files[f"{kind}.bin"].sha256
        fields[f"{kind}_scale"] = HarmScale(window_words=found["window_words"], floor=found["floor"])
        fields[f"{kind}_threshold"] = found["page_threshold"] if fixed[kind] is None else fixed[kind]
    stage = HarmfulFilter(**fields)
    chosen: dict[str, Any] = {
        f"{kind}_threshold": crawl_threshold(
            stage.scores(kind, pages),
            np.array(found["harmful_page_scores"]),
            wanted_false_positive_rate,
            found["page_threshold"],
        )
        for kind, found in measurements(classifiers).items()
        if pages and fixed[kind] is None
    }
    return replace(stage, **chosen)


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
