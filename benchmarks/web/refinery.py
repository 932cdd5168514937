"""Loam's own refinery for benchmarks: the stages of `pipelines.curate.CURATION`, from WARC files to one corpus."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lm.storage import Artifact
from pipelines import layout
from pipelines.classifier import ClassifierConfig
from pipelines.curate import CURATION, deduplicate_partitions, extract_partition
from pipelines.demo_crawl import DemoCrawlConfig, write_demo_crawl
from pipelines.document import Stage
from pipelines.engine import run_partitions, run_stage
from pipelines.harmful import DEFAULT_CONFIG
from pipelines.heuristics import HeuristicFilter
from pipelines.language import LanguageFilter
from pipelines.pii import PiiMasker
from pipelines.repetition import RepetitionFilter
from pipelines.trained_classifiers import (
    harmful_filter,
    make_harmful_classifiers,
    make_quality_classifier,
    quality_filter,
)
from pipelines.warc_files import WarcFile

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


def trained_stages(folder: Path) -> tuple[Stage, ...]:
    """The stages between extraction and deduplication, with classifiers trained on the built-in crawl's labels.

    Their thresholds are such that every page passes: each must be scored, and goes on to be worked on by the next.
    """
    write_demo_crawl(_LABELS, folder / "crawl")
    quality = make_quality_classifier(
        folder / "crawl" / "quality_labels.jsonl", folder / "quality_classifier", ClassifierConfig()
    )
    harmful = make_harmful_classifiers(
        folder / "crawl" / "harmful_labels.jsonl", folder / "harmful_classifiers", DEFAULT_CONFIG
    )
    return (
        LanguageFilter(),
        HeuristicFilter(),
        RepetitionFilter(),
        replace(harmful_filter(harmful), toxic_threshold=2.0, adult_threshold=2.0),
        replace(quality_filter(quality), threshold=0.0),
        PiiMasker(),
    )


def extract(path: Path, target: Path) -> Artifact:
    """WARC to documents, charset, guard and accounts included, one child parsing."""
    return extract_partition([_warc_file(path)], layout.partition_key("bench", 0), target)


def curate(paths: Sequence[Path], stages: Sequence[Stage], home: Path, num_workers: int = 1) -> dict[str, Artifact]:
    """All of `CURATION`, a partition a WARC file, over `num_workers` processes; the last step's artifacts by name."""
    partitions = {layout.partition_key("bench", number): path for number, path in enumerate(paths)}
    job = functools.partial(_curate_partition, stages, home)
    jobs = {partition: (partition, path) for partition, path in partitions.items()}
    masked = run_partitions(job, jobs, num_workers=num_workers, description="curate")
    target = layout.artifact_path(CURATION[-1].artifact, root=home)
    corpus = deduplicate_partitions(
        {partition: made[-1] for partition, made in masked.items()}, target, num_workers=num_workers
    )
    return {"corpus": corpus, **{f"{partition}": made[-1] for partition, made in masked.items()}}


def _curate_partition(stages: Sequence[Stage], home: Path, job: tuple[str, Path]) -> list[Artifact]:
    """Everything that is done to one partition alone."""
    partition, path = job
    target = functools.partial(layout.artifact_path, partition=partition, root=home)
    made = [extract_partition([_warc_file(path)], partition, target(CURATION[0].artifact))]
    for step, stage in zip(CURATION[1:-1], stages, strict=True):
        made.append(run_stage(stage, made[-1], target(step.artifact)))
    return made


@functools.cache
def _warc_file(path: Path) -> WarcFile:
    """The file with a name in place of its digest, which the crawl's download has found before curation begins."""
    return WarcFile(path.name, path, path.stat().st_size, path.name)


def kept_by_stage(made: Mapping[str, Artifact]) -> str:
    """How many documents each artifact kept, in a line."""
    return ", ".join(f"{name} {artifact.summary['num_kept']}" for name, artifact in made.items())
