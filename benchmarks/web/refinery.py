"""Loam's own refinery for benchmarks: `pipelines.curation.run`, from WARC files to one corpus."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm.alignment.data import PROBLEMS
from lm.storage import Artifact
from pipelines.classifiers.fasttext_training import ClassifierConfig
from pipelines.curation.run import curate as run_curation
from pipelines.curation.settings import EvaluationSources, Settings
from pipelines.curation.steps import CORPUS
from pipelines.decontamination.items import EvaluationSet
from pipelines.demo_crawl import DemoCrawlConfig, write_demo_crawl
from pipelines.demo_crawl.configuration import HARMFUL_LABELS, QUALITY_LABELS
from pipelines.extract.partition import extract_partition
from pipelines.filters.harmful import DEFAULT_CONFIG
from pipelines.filters.trained import (
    HarmfulConfig,
    QualityConfig,
    make_harmful_classifiers,
    make_quality_classifier,
)
from pipelines.paths import artifact_path, partition_key
from pipelines.sources.warc_file import WarcFile

_LABELS = DemoCrawlConfig(
    num_pages=40,
    num_warc_files=1,
    num_train_instructions=40,
    num_heldout_instructions=4,
    num_train_preferences=20,
    num_heldout_preferences=4,
    num_train_problems=40,
    num_heldout_problems=4,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refinery:
    """The settings of a curation, and the home folder that holds its classifiers."""

    settings: Any
    classifiers: Path


def build_refinery(folder: Path, evaluation_set: Path) -> Refinery:
    """Return classifiers trained on the built-in crawl's labels, and the questions of `evaluation_set`, or its own.

    The classifiers' thresholds are such that every page passes: each must be scored, and goes on to be worked on.
    """
    home = folder / "classifiers"
    write_demo_crawl(_LABELS, folder / "crawl")
    make_quality_classifier(
        folder / "crawl" / QUALITY_LABELS, artifact_path("quality_classifier", root=home), ClassifierConfig()
    )
    make_harmful_classifiers(
        folder / "crawl" / HARMFUL_LABELS, artifact_path("harm_classifiers", root=home), DEFAULT_CONFIG
    )
    if evaluation_set.exists():
        questions = EvaluationSet(name="gsm8k", path=str(evaluation_set))
    else:
        questions = EvaluationSet(name="problems", path=str(folder / "crawl" / PROBLEMS), fields=("prompt",))
    settings = Settings(
        harmful=HarmfulConfig(toxic_threshold=1.0, adult_threshold=1.0),
        quality=QualityConfig(threshold=0.0),
        evaluation_items=EvaluationSources(sets=(questions,)),
    )
    return Refinery(settings=settings, classifiers=home)


def extract(path: Path, target: Path) -> Artifact:
    """Extract documents from WARC, with charset, guard and accounts, one child parsing."""
    return extract_partition([_warc_file(path)], partition_key("bench", 0), target)


def curate(paths: Sequence[Path], refinery: Refinery, home: Path, num_workers: int = 1) -> Artifact:
    """Run the whole curation, one partition per WARC file, over `num_workers` processes."""
    shutil.copytree(refinery.classifiers, home, dirs_exist_ok=True)
    groups = {partition_key("bench", number): [_warc_file(path)] for number, path in enumerate(paths)}
    made = run_curation(groups, home, refinery.settings, num_workers=num_workers, num_children=1)
    return made[CORPUS][None]


@functools.cache
def _warc_file(path: Path) -> WarcFile:
    """Return the file with a name in place of its digest, which the crawl's download has found before."""
    return WarcFile(path.name, path, path.stat().st_size, path.name)
