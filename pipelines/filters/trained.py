"""Classifiers as artifacts: trained from labels, published with measurements, applied as stages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa

from lm import storage
from lm.configuration import Doc, Range, settle, to_mapping
from lm.errors import InputError
from lm.storage import Artifact, Publication
from pipelines.classifiers.fasttext_training import ClassifierConfig, Example
from pipelines.classifiers.model_file import model_file
from pipelines.documents.schema import Judgement, Stage, judged
from pipelines.filters.crawl_sample import sample_documents
from pipelines.filters.harm_calibration import WANTED_FALSE_POSITIVE_RATE, crawl_threshold, train_harmful_classifiers
from pipelines.filters.harmful import KINDS, HarmfulFilter, HarmScale
from pipelines.filters.labels import LabelFile, field_names, read_labels
from pipelines.filters.quality import MODEL_FILE, QualityFilter, keep_thresholds, train_quality_classifier
from pipelines.filters.reference_pages import LabelledPages, labelled_pages

MEASUREMENTS = "measurements.json"
BUILT_IN_LABELS = "built_in_labels"
"""Key of a classifier's summary: whether its labels are the built-in crawl's, which fit that crawl's pages alone."""
_SCALARS = ("threshold", "roc_auc", "precision", "recall", "f1", "false_positive_rate", "num_train", "num_heldout")


def make_quality_classifier(
    labels: Path, target: Path, config: ClassifierConfig, *, built_in_labels: bool = False
) -> Artifact:
    """Train on the rows of `labels` (`text`, `high_quality`) and publish `quality.bin` with its measurements.

    `built_in_labels` marks the labels of the built-in crawl in the summary.
    """

    def write(publication: Publication) -> None:
        found = train_quality_classifier(read_labels(labels, "high_quality"), config, publication.path)
        _write_measurements(publication, {"quality": found})
        publication.summary[BUILT_IN_LABELS] = built_in_labels

    return _make("quality_classifier", {"labels": labels}, target, _marked(config, built_in_labels), write)


def make_quality_classifier_of_pages(
    pages: LabelledPages, target: Path, config: ClassifierConfig, *, built_in_labels: bool = False
) -> Artifact:
    """Train on reference pages against pages of a crawl, and publish `quality.bin` with its measurements.

    `built_in_labels` marks pages of the built-in crawl in the summary.

    Raises:
        InputError: a file is missing or cannot be read, or too few pages pass the filters.
    """

    def write(publication: Publication) -> None:
        examples, counts = labelled_pages(pages)
        _write_measurements(publication, {"quality": train_quality_classifier(examples, config, publication.path)})
        publication.summary.update(counts)
        publication.summary[BUILT_IN_LABELS] = built_in_labels

    settings = {**_marked(config, built_in_labels), "filters": to_mapping(pages.filters), "max_pages": pages.max_pages}
    return storage.make(
        target,
        write,
        kind="quality_classifier",
        config=settings,
        inputs=pages.digests(),
    )


def is_of_invented_labels(classifiers: Artifact) -> bool:
    """Return whether classifiers were trained on the built-in crawl's labels; True for those made before the mark."""
    return bool(classifiers.summary.get(BUILT_IN_LABELS, True))


def make_harmful_classifiers(
    labels: Path | Mapping[str, LabelFile],
    target: Path,
    config: ClassifierConfig,
    *,
    built_in_labels: bool = False,
) -> Artifact:
    """Train on the rows of `labels` and publish `toxic.bin`, `adult.bin` or both.

    `labels` is one file with the fields `text` and `toxic`, `adult` or both, or a file for each kind with its fields.
    The summary names the kinds without labels; they are not judged. `built_in_labels` marks the labels of the built-in
    crawl in it.

    Raises:
        InputError: a file is missing or cannot be read, or has no label of either kind.
    """
    if isinstance(labels, Path):
        labels = labelled_kinds(LabelFile(path=str(labels)))
    files = {kind: Path(file.path or "") for kind, file in labels.items()}
    settings = {
        **_marked(config, built_in_labels),
        "labels": {kind: _names(kind, file) for kind, file in labels.items()},
    }

    def write(publication: Publication) -> None:
        examples = {kind: _examples(kind, file) for kind, file in labels.items()}
        _write_measurements(publication, train_harmful_classifiers(examples, config, publication.path))
        publication.summary["kinds_without_labels"] = [kind for kind in KINDS if kind not in labels]
        publication.summary[BUILT_IN_LABELS] = built_in_labels

    return _make("harm_classifiers", files, target, settings, write)


def labelled_kinds(file: LabelFile) -> dict[str, LabelFile]:
    """Return a file of labels for each kind of harm that it has a field for, with at least one text that has the label.

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


def _marked(config: ClassifierConfig, built_in_labels: bool) -> dict[str, Any]:
    """Return the settings of training, with the mark of built-in labels, so that the mark is part of the work."""
    return {**to_mapping(config), **({BUILT_IN_LABELS: True} if built_in_labels else {})}


def _names(kind: str, file: LabelFile) -> dict[str, Any]:
    """Return the fields of a label file's configuration, without its path."""
    return {"text": file.text, "label": file.label or kind, "positive": list(file.positive)}


def _examples(kind: str, file: LabelFile) -> Iterator[Example]:
    return read_labels(file.path or "", file.label or kind, text=file.text, positive=file.positive)


def measurements(classifiers: Artifact) -> dict[str, dict[str, Any]]:
    """Return the held-out measurements by classifier: thresholds, rates, curves, top words."""
    found: dict[str, dict[str, Any]] = json.loads(classifiers.file(MEASUREMENTS).read_text())
    return found


@dataclass(frozen=True, kw_only=True)
class QualityConfig:
    """The pages that are good enough."""

    judge: Annotated[
        Literal["classifier", "none"], Doc("Score pages with the trained classifier, or keep every page.")
    ] = "classifier"
    allow_demo_classifiers: Annotated[
        bool, Doc("Score a real crawl with classifiers trained on the built-in crawl's synthetic labels.")
    ] = False
    keep_share: Annotated[
        float | None,
        Doc(
            "Keep this share of the pages of each group and language, by score. Null keeps the threshold chosen at "
            "training, which fits if the labels are of pages like the crawl's."
        ),
        Range(above=0, most=1),
    ] = 0.5
    threshold: Annotated[
        float | None, Doc("Keep pages with at least this score, whatever their share."), Range(0, 1)
    ] = None

    def __post_init__(self) -> None:
        settle(self, "quality")


@dataclass(frozen=True, kw_only=True)
class HarmfulConfig:
    """The pages that are too harmful."""

    judge: Annotated[
        Literal["classifier", "none"], Doc("Score pages with the trained classifiers, or keep every page.")
    ] = "classifier"
    allow_demo_classifiers: Annotated[
        bool, Doc("Score a real crawl with classifiers trained on the built-in crawl's synthetic labels.")
    ] = False
    toxic_threshold: Annotated[
        float | None,
        Doc("Remove pages with at least this toxic score; empty chooses it by wanted_false_positive_rate."),
        Range(0, 1),
    ] = None
    adult_threshold: Annotated[
        float | None,
        Doc("Remove pages with at least this adult score; empty chooses it by wanted_false_positive_rate."),
        Range(0, 1),
    ] = None
    wanted_false_positive_rate: Annotated[
        float,
        Doc(
            "Share of a group's harmless pages that may be removed as toxic, and as adult. The share is "
            "estimated on the pages of the group. The threshold chosen at training is raised, or lowered to no "
            "less than half its value, until the share holds."
        ),
        Range(above=0, below=1),
    ] = WANTED_FALSE_POSITIVE_RATE

    def __post_init__(self) -> None:
        settle(self, "harmful")


@dataclass(frozen=True, kw_only=True)
class NotJudged(Stage):
    """Stage that keeps every document, in place of a missing classifier; its score columns are empty."""

    name: str  # type: ignore[misc]
    columns: tuple[str, ...]

    def judge(self, batch: pa.RecordBatch) -> Judgement:
        """Keep every document."""
        empty = pa.nulls(batch.num_rows, pa.float32())
        return judged(batch, [None] * batch.num_rows, dict.fromkeys(self.columns, empty))


def quality_stage(config: QualityConfig, classifier: Artifact | None, documents: Artifact | None = None) -> Stage:
    """Return the stage that applies a quality classifier; without one, a stage that judges nothing.

    Where `config` fixes no threshold and `documents` are given, it keeps the wanted share of them.
    """
    if classifier is None:
        return NotJudged(name=QualityFilter.name, columns=("quality_score",))
    measured = measurements(classifier)["quality"]
    stage = QualityFilter(
        model_path=str(classifier.file(MODEL_FILE)),
        model_sha256=classifier.files[MODEL_FILE].sha256,
        threshold=measured["threshold"] if config.threshold is None else config.threshold,
        languages=tuple(measured["languages"]),
    )
    if config.threshold is not None or config.keep_share is None or documents is None:
        return stage
    rows = sample_documents(documents, ("text", "language"))
    if not rows:
        return stage
    languages = [row.get("language") for row in rows]
    threshold, by_language = keep_thresholds(stage.scores([row["text"] for row in rows]), languages, config.keep_share)
    return replace(stage, threshold=threshold, language_thresholds=by_language)


def harmful_stage(config: HarmfulConfig, classifiers: Artifact | None, documents: Artifact | None = None) -> Stage:
    """Return the stage that applies the harmful-content classifiers; without them, a stage that judges nothing.

    A threshold that `config` leaves empty is the one chosen at training. Where `documents` are given, it is the one
    that flags the wanted share of those that are harmless (`pipelines.filters.harm_calibration`).
    """
    if classifiers is None:
        return NotJudged(name=HarmfulFilter.name, columns=tuple(f"{kind}_score" for kind in KINDS))
    fixed = {"toxic": config.toxic_threshold, "adult": config.adult_threshold}
    fields: dict[str, Any] = {}
    for kind, found in measurements(classifiers).items():
        fields[f"{kind}_model_path"] = str(classifiers.file(model_file(kind)))
        fields[f"{kind}_model_sha256"] = classifiers.files[model_file(kind)].sha256
        fields[f"{kind}_scale"] = HarmScale(window_words=found["window_words"], floor=found["floor"])
        fields[f"{kind}_threshold"] = found["page_threshold"] if fixed[kind] is None else fixed[kind]
    stage = HarmfulFilter(**fields)
    if documents is None or all(fixed[kind] is not None for kind in stage.kinds):
        return stage
    pages = [row["text"] for row in sample_documents(documents)]
    chosen: dict[str, Any] = {
        f"{kind}_threshold": crawl_threshold(
            stage.scores(kind, pages),
            np.array(found["harmful_page_scores"]),
            config.wanted_false_positive_rate,
            found["page_threshold"],
        )
        for kind, found in measurements(classifiers).items()
        if pages and fixed[kind] is None
    }
    return replace(stage, **chosen)


def _make(
    kind: str,
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
    )


def _write_measurements(publication: Publication, found: Mapping[str, Mapping[str, Any]]) -> None:
    storage.write_json(publication.path / MEASUREMENTS, found)
    for kind, figures in found.items():
        publication.summary.update({f"{kind}_{name}": figures[name] for name in _SCALARS})
        publication.summary.update({f"{kind}_{name}": figures[name] for name in ("languages",) if name in figures})
