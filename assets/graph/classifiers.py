"""Assets of the page classifiers: quality and harmful content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import dagster as dg

from assets.graph.crawl import demo_crawl
from assets.support import plots
from assets.support.checks import figures
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch, in_log, result
from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError
from lm.storage import Artifact, sha256_of
from pipelines.classifiers.fasttext_training import ClassifierConfig
from pipelines.demo_crawl.configuration import HARMFUL_LABELS, QUALITY_LABELS
from pipelines.fetch.remote_files import local_path
from pipelines.filters.harmful import DEFAULT_CONFIG, KINDS
from pipelines.filters.labels import LabelFile
from pipelines.filters.reference_pages import LabelledPages, PageFilters
from pipelines.filters.trained import (
    labelled_kinds,
    make_harmful_classifiers,
    make_quality_classifier,
    make_quality_classifier_of_pages,
    measurements,
)
from pipelines.sources.built_in_crawl import built_in_files

_MIN_ROC_AUC = 0.9
_MAX_FALSE_POSITIVE_RATE = 0.02
_MIN_PAGE_RECALL = 0.5
_FEWEST_PAGE_WORDS = 150
_RATES = ("threshold", "roc_auc", "precision", "recall", "f1", "false_positive_rate")


@dataclass(frozen=True, kw_only=True)
class QualityTraining:
    """Training data and settings of the quality classifier: labels, or reference pages and random pages."""

    labels: Annotated[
        str | None,
        Doc("JSON Lines or CSV with `text` and `high_quality`. Default: the built-in crawl's labels."),
    ] = None
    reference_pages: Annotated[
        tuple[str, ...],
        Doc(
            "Files of high-quality pages (WARC, WET, or JSON Lines with `text`); `crawl_pages` are the negative "
            "examples."
        ),
    ] = ()
    reference_urls: Annotated[
        str | None,
        Doc("File with one URL per line, such as pages cited by Wikipedia; fetched through Common Crawl's index."),
    ] = None
    reference_crawl: Annotated[
        str | None,
        Doc("The crawl from which reference_urls are fetched, such as CC-MAIN-2024-22; empty means the newest."),
    ] = None
    crawl_pages: Annotated[tuple[str, ...], Doc("Files of a crawl's random pages, in the same formats.")] = ()
    filters: Annotated[PageFilters, Doc("Filters that training pages of both classes must pass.")] = field(
        default_factory=PageFilters
    )
    max_pages: Annotated[int, Doc("Maximum number of pages per class."), Range(1)] = 100_000
    classifier: Annotated[ClassifierConfig, Doc("Settings of fastText and of the choice of the threshold.")] = field(
        default_factory=ClassifierConfig
    )

    def __post_init__(self) -> None:
        settle(self, "quality_classifier")
        if self.labels is not None and (self.reference_pages or self.reference_urls or self.crawl_pages):
            raise ConfigurationError("quality_classifier: labels and pages are both set, expected only one")


@dataclass(frozen=True, kw_only=True)
class HarmfulTraining:
    """Training data and settings of the harmful-content classifiers."""

    labels: Annotated[
        str | None,
        Doc(
            "JSON Lines or CSV with `text` and `toxic`, `adult` or both. Default: the built-in crawl's "
            "labels. Pages are not scored for a kind of harm without labels."
        ),
    ] = None
    toxic: Annotated[LabelFile, Doc("Another file for toxic texts, and the names of its columns.")] = field(
        default_factory=LabelFile
    )
    adult: Annotated[LabelFile, Doc("Another file for adult texts, and the names of its columns.")] = field(
        default_factory=LabelFile
    )
    classifier: Annotated[ClassifierConfig, Doc("Settings of fastText and of the choice of thresholds.")] = (
        DEFAULT_CONFIG
    )

    def __post_init__(self) -> None:
        settle(self, "harm_classifiers")


@dg.asset(group_name="classifiers", deps=[demo_crawl], config_schema=schema_of("quality_classifier", QualityTraining))
@explained
def quality_classifier(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """A fastText classifier of page quality."""
    watch = Stopwatch()
    config = config_of(context, QualityTraining)
    target = home.target("quality_classifier")
    reference = (*config.reference_pages, *_fetched(config, home, context))
    if reference or config.crawl_pages:
        pages = LabelledPages(
            reference=reference, crawl=config.crawl_pages, filters=config.filters, max_pages=config.max_pages
        )
        built_in = _are_built_in(home, [*pages.reference, *pages.crawl])
        artifact = make_quality_classifier_of_pages(pages, target, config.classifier, built_in_labels=built_in)
    else:
        labels = _labels(home, config.labels, QUALITY_LABELS)
        built_in = _are_built_in(home, [labels])
        artifact = make_quality_classifier(labels, target, config.classifier, built_in_labels=built_in)
    return result(artifact, watch, _plots(artifact), without=_in_table(artifact))


@dg.asset(group_name="classifiers", deps=[demo_crawl], config_schema=schema_of("harm_classifiers", HarmfulTraining))
@explained
def harm_classifiers(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Two fastText classifiers: toxic text and adult content."""
    watch = Stopwatch()
    config = config_of(context, HarmfulTraining)
    files = _harm_labels(config, home)
    for kind in KINDS:
        if kind not in files:
            context.log.warning(f"no labels for {kind} texts: pages get no {kind} score")
    built_in = _are_built_in(home, [file.path or "" for file in files.values()])
    target = home.target("harm_classifiers")
    artifact = make_harmful_classifiers(files, target, config.classifier, built_in_labels=built_in)
    return result(artifact, watch, _plots(artifact), without=_in_table(artifact))


@dg.asset_check(asset=quality_classifier, description=f"ROC AUC on held-out labels is at least {_MIN_ROC_AUC}.")
def quality_separates(home: LoamHome) -> dg.AssetCheckResult:
    """The quality classifier separates good pages from bad pages."""
    return _separates(home.artifact("quality_classifier"))


@dg.asset_check(
    asset=harm_classifiers,
    description=f"ROC AUC on held-out labels is at least {_MIN_ROC_AUC}. At most {_MAX_FALSE_POSITIVE_RATE:.0%} of "
    f"harmless pages are flagged at any length. At least {_MIN_PAGE_RECALL:.0%} of harmful pages are flagged from "
    f"{_FEWEST_PAGE_WORDS} words on.",
)
def harmful_separates(home: LoamHome) -> dg.AssetCheckResult:
    """Each harmful-content classifier separates harmful from harmless texts, in short pages and in long ones."""
    classifiers = home.artifact("harm_classifiers")
    by_length = {kind: found["by_length"] for kind, found in measurements(classifiers).items()}
    areas = _separates(classifiers)
    passed = areas.passed and all(_holds_at_length(row) for rows in by_length.values() for row in rows)
    worst = max((row["false_positive_rate"] for rows in by_length.values() for row in rows), default=0.0)
    return dg.AssetCheckResult(
        passed=passed,
        description=f"{areas.description}; at most {worst:.1%} of harmless held-out pages are flagged at any length",
        metadata={**areas.metadata, "by_length": by_length},
    )


def _holds_at_length(row: Mapping[str, float]) -> bool:
    """Return whether the results on pages of one length reach the required bounds."""
    is_found = row["recall"] >= _MIN_PAGE_RECALL or row["page_words"] < _FEWEST_PAGE_WORDS
    return is_found and row["false_positive_rate"] <= _MAX_FALSE_POSITIVE_RATE


def _separates(classifiers: Artifact) -> dg.AssetCheckResult:
    areas = {f"{kind}_roc_auc": found["roc_auc"] for kind, found in measurements(classifiers).items()}
    passed = all(area >= _MIN_ROC_AUC for area in areas.values())
    said = ", ".join(
        f"{kind}: ROC AUC {found['roc_auc']:.3f}, precision {found['precision']:.3f}, recall {found['recall']:.3f}"
        for kind, found in measurements(classifiers).items()
    )
    return dg.AssetCheckResult(passed=passed, description=said, metadata=figures({**areas, "minimum": _MIN_ROC_AUC}))


def _harm_labels(config: HarmfulTraining, home: LoamHome) -> dict[str, LabelFile]:
    """Return the labels of each kind of harm: its own file, or the joint file if it has the kind."""
    own = {kind: file for kind, file in (("toxic", config.toxic), ("adult", config.adult)) if file.path}
    if own and config.labels is None:
        return own
    joint = LabelFile(path=str(_labels(home, config.labels, HARMFUL_LABELS)))
    named = {
        kind: replace(file, path=joint.path)
        for kind, file in (("toxic", config.toxic), ("adult", config.adult))
        if file != LabelFile() and kind not in own
    }
    return {**({} if len({**own, **named}) == len(KINDS) else labelled_kinds(joint)), **named, **own}


def _labels(home: LoamHome, configured: str | None, built_in: str) -> Path:
    return local_path(configured, home.downloads) if configured else home.artifact("demo_crawl").file(built_in)


def _are_built_in(home: LoamHome, files: Iterable[str | Path]) -> bool:
    """Return whether a file has the content of one of the built-in crawl's, whatever its path."""
    own = set(built_in_files(home.root).values())
    return any(Path(file).is_file() and sha256_of(Path(file)) in own for file in files)


def _fetched(config: QualityTraining, home: LoamHome, context: dg.AssetExecutionContext) -> tuple[str, ...]:
    """Return the WARC file of the pages of `reference_urls`; fetch it unless it exists."""
    if config.reference_urls is None:
        return ()
    from pipelines.common_crawl import fetch_pages, newest_crawl, read_urls  # it loads an HTTP client

    urls = read_urls(config.reference_urls)
    crawl = config.reference_crawl or newest_crawl().name
    found = fetch_pages(urls, crawl, home.downloads / crawl / "reference_pages.warc.gz", report=in_log(context))
    context.log.info(f"{found.num_found:,} of {found.num_urls:,} reference pages found; {found.missing_by_reason}")
    return (found.target,)


def _in_table(classifiers: Artifact) -> list[str]:
    """Return the entries of the summary whose long names would take their width from the tables that have them."""
    return [f"{kind}_false_positive_rate" for kind in measurements(classifiers)]


def _plots(classifiers: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    measured = measurements(classifiers)
    curves = {
        kind: ([rate for rate, _ in found["roc_curve"]], [rate for _, rate in found["roc_curve"]])
        for kind, found in measured.items()
    }
    bins = {
        kind: (
            [row["mean_score"] for row in found["calibration"]],
            [row["positive_share"] for row in found["calibration"]],
        )
        for kind, found in measured.items()
    }
    rates = [{"classifier": kind, **{name: found[name] for name in _RATES}} for kind, found in measured.items()]
    rows = [
        {"classifier": kind, "label": label, "words": ", ".join(words)}
        for kind, found in measured.items()
        for label, words in found["top_words"].items()
    ]
    roc = plots.lines("ROC on held-out labels", curves, x="false positive rate", y="true positive rate")
    return {
        "roc_curve": roc,
        "calibration": plots.lines(
            "Calibration on held-out labels",
            {"ideal": ([0, 1], [0, 1]), **bins},
            x="mean score",
            y="share of positives",
        ),
        "rates": plots.table(rates),
        "pages_by_length": plots.table(
            [
                {"classifier": kind, "threshold": found["page_threshold"], **row}
                for kind, found in measured.items()
                for row in found.get("by_length", ())
            ]
        ),
        "top_words": plots.table(rows),
    }
