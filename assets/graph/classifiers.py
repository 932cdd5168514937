"""The classifiers that judge pages, trained as assets: quality, and harmful content."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg

from assets.graph.crawl import demo_crawl
from assets.support import plots
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch, in_log, result
from lm.errors import ConfigurationError
from lm.storage import Artifact
from pipelines.classifiers.fasttext_training import ClassifierConfig
from pipelines.fetch.remote_files import local_path
from pipelines.filters.harmful import DEFAULT_CONFIG
from pipelines.filters.labels import LabelFile
from pipelines.filters.reference_pages import LabelledPages, PageFilters
from pipelines.filters.trained import (
    make_harmful_classifiers,
    make_quality_classifier,
    make_quality_classifier_of_pages,
    measurements,
)

_MIN_ROC_AUC = 0.9
_RATES = ("threshold", "roc_auc", "precision", "recall", "f1", "false_positive_rate", "flagged_share")


@dataclass(frozen=True, kw_only=True)
class QualityTraining:
    """What the classifier learns from, and how: labels, or files of reference pages and of random pages."""

    labels: str | None = None
    """JSON Lines or CSV with `text` and `high_quality`; empty, without reference pages: the built-in crawl's."""
    reference_pages: tuple[str, ...] = ()
    """Files of pages worth learning from, WARC, WET, or JSON Lines with `text`; `crawl_pages` holds their opposite."""
    reference_urls: str | None = None
    """File with a URL a line, such as the pages that Wikipedia cites; fetched through Common Crawl's index."""
    reference_crawl: str | None = None
    """The crawl that these URLs are fetched from, as in CC-MAIN-2024-22; empty means the newest."""
    crawl_pages: tuple[str, ...] = ()
    """Files of a crawl's random pages, in the same formats."""
    filters: PageFilters = field(default_factory=PageFilters)
    """What pages of both sides must pass before they are learned from."""
    max_pages: int = 100_000
    """The most pages of each side."""
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    """How fastText is trained, and how the threshold is chosen."""

    def __post_init__(self) -> None:
        if self.labels is not None and (self.reference_pages or self.reference_urls or self.crawl_pages):
            raise ConfigurationError("quality_classifier: labels and pages are both set, expected one of them")


@dataclass(frozen=True, kw_only=True)
class HarmfulTraining:
    """Where the labelled texts are, and how the classifiers learn from them."""

    labels: str | None = None
    """JSON Lines or CSV with `text`, `toxic` and `adult`; empty means the built-in crawl's."""
    toxic: LabelFile = field(default_factory=LabelFile)
    """Another file for toxic texts, and the names of its columns."""
    adult: LabelFile = field(default_factory=LabelFile)
    """Another file for adult texts, and the names of its columns."""
    classifier: ClassifierConfig = DEFAULT_CONFIG
    """How fastText is trained, and how the thresholds are chosen."""


@dg.asset(group_name="curation", deps=[demo_crawl], config_schema=schema_of(QualityTraining))
@explained
def quality_classifier(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """A fastText classifier that tells pages worth learning from from the rest of a crawl."""
    watch = Stopwatch()
    config = config_of(context, QualityTraining)
    target = home.target("quality_classifier")
    reference = (*config.reference_pages, *_fetched(config, home, context))
    if reference or config.crawl_pages:
        pages = LabelledPages(
            reference=reference, crawl=config.crawl_pages, filters=config.filters, max_pages=config.max_pages
        )
        artifact = make_quality_classifier_of_pages(pages, target, config.classifier)
    else:
        labels = _labels(home, config.labels, "quality_labels.jsonl")
        artifact = make_quality_classifier(labels, target, config.classifier)
    return result(artifact, watch, _plots(artifact))


@dg.asset(group_name="curation", deps=[demo_crawl], config_schema=schema_of(HarmfulTraining))
@explained
def harmful_classifiers(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Two fastText classifiers: insulting or hateful text, and adult content."""
    watch = Stopwatch()
    config = config_of(context, HarmfulTraining)
    files = {
        kind: file if file.path else replace(file, path=str(_labels(home, config.labels, "harmful_labels.jsonl")))
        for kind, file in (("toxic", config.toxic), ("adult", config.adult))
    }
    artifact = make_harmful_classifiers(files, home.target("harmful_classifiers"), config.classifier)
    return result(artifact, watch, _plots(artifact))


@dg.asset_check(asset=quality_classifier, description=f"ROC AUC on held-out labels is at least {_MIN_ROC_AUC}.")
def quality_separates(home: LoamHome) -> dg.AssetCheckResult:
    """The quality classifier tells good pages from bad ones."""
    return _separates(home.artifact("quality_classifier"))


@dg.asset_check(asset=harmful_classifiers, description=f"ROC AUC on held-out labels is at least {_MIN_ROC_AUC}.")
def harmful_separates(home: LoamHome) -> dg.AssetCheckResult:
    """Each harmful-content classifier tells harmful texts from harmless ones."""
    return _separates(home.artifact("harmful_classifiers"))


def _separates(classifiers: Artifact) -> dg.AssetCheckResult:
    areas = {f"{kind}_roc_auc": found["roc_auc"] for kind, found in measurements(classifiers).items()}
    passed = all(area >= _MIN_ROC_AUC for area in areas.values())
    return dg.AssetCheckResult(passed=passed, metadata={**areas, "minimum": _MIN_ROC_AUC})


def _labels(home: LoamHome, configured: str | None, built_in: str) -> Path:
    return local_path(configured, home.downloads) if configured else home.artifact("demo_crawl").file(built_in)


def _fetched(config: QualityTraining, home: LoamHome, context: dg.AssetExecutionContext) -> tuple[str, ...]:
    """The WARC file of the pages of `reference_urls`, fetched unless it is there."""
    if config.reference_urls is None:
        return ()
    from pipelines.common_crawl import fetch_pages, newest_crawl, read_urls  # it loads an HTTP client

    urls = read_urls(config.reference_urls)
    crawl = config.reference_crawl or newest_crawl().name
    found = fetch_pages(urls, crawl, home.downloads / crawl / "reference_pages.warc.gz", report=in_log(context))
    context.log.info(f"{found.num_found:,} of {found.num_urls:,} reference pages found; {found.missing_by_reason}")
    return (found.target,)


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
        "top_words": plots.table(rows),
    }
