"""Loam's own refinery for benchmarks: the stages of `pipelines.curation.CURATION`, from WARC files to one corpus."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lm.storage import Artifact
from pipelines.classifiers.fasttext_training import ClassifierConfig
from pipelines.curation import CURATION
from pipelines.decontamination.corpus import decontaminate_corpus
from pipelines.decontamination.items import EvaluationSet, publish_evaluation_items
from pipelines.dedup.corpus import deduplicate_partitions
from pipelines.demo_crawl import DemoCrawlConfig, write_demo_crawl
from pipelines.documents.schema import Stage
from pipelines.executor.partitions import run_partitions
from pipelines.extract.partition import extract_partition
from pipelines.filters.harmful import DEFAULT_CONFIG
from pipelines.filters.heuristics import HeuristicFilter
from pipelines.filters.language import LanguageFilter
from pipelines.filters.pii import PiiMasker
from pipelines.filters.repetition import RepetitionFilter
from pipelines.filters.run import run_stage
from pipelines.filters.trained import (
    harmful_filter,
    make_harmful_classifiers,
    make_quality_classifier,
    quality_filter,
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
    """The stages between extraction and deduplication, and the evaluation items that the corpus must not hold."""

    stages: tuple[Stage, ...]
    items: Artifact


def build_refinery(folder: Path, evaluation_set: Path) -> Refinery:
    """Classifiers trained on the built-in crawl's labels, and the questions of `evaluation_set`, or its own.

    The classifiers' thresholds are such that every page passes: each must be scored, and goes on to be worked on.
    """
    write_demo_crawl(_LABELS, folder / "crawl")
    quality = make_quality_classifier(
        folder / "crawl" / "quality_labels.jsonl", folder / "quality_classifier", ClassifierConfig()
    )
    harmful = make_harmful_classifiers(
        folder / "crawl" / "harmful_labels.jsonl", folder / "harmful_classifiers", DEFAULT_CONFIG
    )
    stages = (
        LanguageFilter(),
        HeuristicFilter(),
        RepetitionFilter(),
        replace(harmful_filter(harmful), toxic_threshold=2.0, adult_threshold=2.0),
        replace(quality_filter(quality), threshold=0.0),
        PiiMasker(),
    )
    if evaluation_set.exists():
        questions = EvaluationSet(name="gsm8k", path=str(evaluation_set))
    else:
        questions = EvaluationSet(name="problems", path=str(folder / "crawl" / "problems.jsonl"), fields=("prompt",))
    return Refinery(stages=stages, items=publish_evaluation_items([questions], folder / "items"))


def extract(path: Path, target: Path) -> Artifact:
    """WARC to documents, charset, guard and accounts included, one child parsing."""
    return extract_partition([_warc_file(path)], partition_key("bench", 0), target)


def curate(paths: Sequence[Path], refinery: Refinery, home: Path, num_workers: int = 1) -> Artifact:
    """All of `CURATION`, a partition a WARC file, over `num_workers` processes."""
    jobs = {partition_key("bench", number): path for number, path in enumerate(paths)}
    job = functools.partial(_curate_partition, refinery.stages, home)
    masked = run_partitions(job, {key: (key, path) for key, path in jobs.items()}, num_workers=num_workers)
    unique, clean = (artifact_path(step.artifact, root=home) for step in CURATION if not step.partitioned)
    return decontaminate_corpus(deduplicate_partitions(masked, unique, num_workers=num_workers), refinery.items, clean)


def _curate_partition(stages: Sequence[Stage], home: Path, job: tuple[str, Path]) -> Artifact:
    """Everything that is done to one partition alone."""
    partition, path = job
    first, *judging = (step for step in CURATION if step.partitioned)
    target = functools.partial(artifact_path, partition=partition, root=home)
    made = extract_partition([_warc_file(path)], partition, target(first.artifact))
    for step, stage in zip(judging, stages, strict=True):
        made = run_stage(stage, made, target(step.artifact))
    return made


@functools.cache
def _warc_file(path: Path) -> WarcFile:
    """The file with a name in place of its digest, which the crawl's download has found before curation begins."""
    return WarcFile(path.name, path, path.stat().st_size, path.name)
