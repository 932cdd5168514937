"""The classifiers that judge pages, trained as assets: quality, and harmful content."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from assets import plots
from assets.crawl import demo_crawl
from assets.failures import explained
from assets.launchpad import config_of, schema_of
from assets.resources import LoamHome
from assets.results import Stopwatch, result
from lm.storage import Artifact
from pipelines.classifier import ClassifierConfig
from pipelines.harmful import DEFAULT_CONFIG
from pipelines.remote_files import local_path
from pipelines.trained_classifiers import make_harmful_classifiers, make_quality_classifier, measurements

_MIN_ROC_AUC = 0.9


@dataclass(frozen=True, kw_only=True)
class QualityTraining:
    """Where the labelled pages are, and how the classifier learns from them."""

    labels: str | None = None
    """JSON Lines or CSV with `text` and `high_quality`; empty means the built-in crawl's."""
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    """How fastText is trained, and how the threshold is chosen."""


@dataclass(frozen=True, kw_only=True)
class HarmfulTraining:
    """Where the labelled texts are, and how the classifiers learn from them."""

    labels: str | None = None
    """JSON Lines or CSV with `text`, `toxic` and `adult`; empty means the built-in crawl's."""
    classifier: ClassifierConfig = DEFAULT_CONFIG
    """How fastText is trained, and how the thresholds are chosen."""


@dg.asset(group_name="curation", deps=[demo_crawl], config_schema=schema_of(QualityTraining))
@explained
def quality_classifier(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """A fastText classifier that tells pages worth learning from from the rest of a crawl."""
    watch = Stopwatch()
    config = config_of(context, QualityTraining)
    labels = _labels(home, config.labels, "quality_labels.jsonl")
    artifact = make_quality_classifier(labels, home.target("quality_classifier"), config.classifier)
    return result(artifact, watch, _plots(artifact))


@dg.asset(group_name="curation", deps=[demo_crawl], config_schema=schema_of(HarmfulTraining))
@explained
def harmful_classifiers(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Two fastText classifiers: insulting or hateful text, and adult content."""
    watch = Stopwatch()
    config = config_of(context, HarmfulTraining)
    labels = _labels(home, config.labels, "harmful_labels.jsonl")
    artifact = make_harmful_classifiers(labels, home.target("harmful_classifiers"), config.classifier)
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


def _plots(classifiers: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    measured = measurements(classifiers)
    curves = {
        kind: ([rate for rate, _ in found["roc_curve"]], [rate for _, rate in found["roc_curve"]])
        for kind, found in measured.items()
    }
    rows = [
        {"classifier": kind, "label": label, "words": ", ".join(words)}
        for kind, found in measured.items()
        for label, words in found["top_words"].items()
    ]
    roc = plots.lines("ROC on held-out labels", curves, x="false positive rate", y="true positive rate")
    return {"roc_curve": roc, "top_words": plots.table(rows)}
