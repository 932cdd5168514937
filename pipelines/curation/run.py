"""The curation without Dagster: every artifact of `CURATION` from groups of WARC files, byte for byte as the assets
make it.

Each partition goes through its steps in one process, so that workers start once and never wait for each other.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm.configuration import to_mapping
from lm.storage import Artifact, find_artifact, open_artifact
from pipelines.curation.settings import check_same_settings, evaluation_sets
from pipelines.curation.steps import CURATION, DECONTAMINATION, DEDUPLICATION, EXTRACTION, JUDGING
from pipelines.decontamination.corpus import decontaminate_corpus
from pipelines.decontamination.items import publish_evaluation_items
from pipelines.dedup.corpus import deduplicate_partitions
from pipelines.documents.tables import tables_in_memory
from pipelines.executor.partitions import Report, run_partitions
from pipelines.extract.partition import extract_partition
from pipelines.filters.run import run_stage
from pipelines.paths import artifact_path
from pipelines.sources.added_documents import publish_added_documents
from pipelines.sources.warc_file import WarcFile

Artifacts = dict[str, dict[str | None, Artifact]]

_TABLE_BYTES = 2**28
"""Decoded documents that a process keeps between the steps of a partition."""


def curate(
    groups: Mapping[str, Sequence[WarcFile]],
    home: Path,
    settings: Any,
    *,
    num_workers: int | None = None,
    num_children: int | None = None,
    report: Report | None = None,
) -> Artifacts:
    """Return every artifact of the curation of `groups`, by step and partition (None for the corpus), below `home`.

    `num_workers` processes take a partition each, and `num_children` of each parse its pages; by default there is one
    for every core.

    Raises:
        InputError: a WARC file is missing, empty or not a WARC file; classifiers are missing.
        NoSpaceError: the disk is full.
    """
    cores = os.cpu_count() or 1
    num_workers = max(1, min(num_workers or cores, len(groups)))
    job = functools.partial(_curate_partition, home, settings, num_children or max(1, cores // num_workers))
    made = run_partitions(
        job,
        {key: (key, files) for key, files in groups.items()},
        num_workers=num_workers,
        report=report,
        description="curate",
    )
    with tables_in_memory(_TABLE_BYTES):
        masked = {key: open_artifact(artifact_path(JUDGING[-1].artifact, key, home)) for key in made}
        check_same_settings(masked)
        unique = deduplicate_partitions(
            masked,
            artifact_path(DEDUPLICATION.artifact, root=home),
            getattr(settings, DEDUPLICATION.stage),
            num_workers=num_workers,
            report=report,
        )
        corpus = decontaminate_corpus(
            unique,
            publish_evaluation_items(
                evaluation_sets(settings.evaluation_items, find_artifact(artifact_path("alignment_data", root=home))),
                artifact_path("evaluation_items", root=home),
            ),
            artifact_path(DECONTAMINATION.artifact, root=home),
            getattr(settings, DECONTAMINATION.stage),
            publish_added_documents(settings.added_documents.sources, artifact_path("added_documents", root=home)),
        )
    by_step: Artifacts = {
        step.artifact: {key: open_artifact(artifact_path(step.artifact, key, home)) for key in groups}
        for step in CURATION
        if step.partitioned
    }
    return by_step | {DEDUPLICATION.artifact: {None: unique}, DECONTAMINATION.artifact: {None: corpus}}


def _curate_partition(home: Path, settings: Any, num_children: int, job: tuple[str, Sequence[WarcFile]]) -> str:
    """Run every step of one partition; return the digest of its last artifact."""
    partition, files = job
    target = functools.partial(artifact_path, partition=partition, root=home)
    made = extract_partition(
        files, partition, target(EXTRACTION.artifact), getattr(settings, EXTRACTION.stage), num_workers=num_children
    )
    with tables_in_memory(_TABLE_BYTES):
        for step in JUDGING:
            config = getattr(settings, step.stage)
            stage = step.make_stage(config, home, made)
            made = run_stage(stage, made, target(step.artifact), settings=to_mapping(config))
    return made.digest
