"""Running stages: one artifact through one stage, and many jobs over local processes.

    run_stage         documents in → documents, removals out, published with exact accounts
    run_partitions    a function over jobs in child processes (`pipelines.workers`)

Decisions: the accounts of a stage are checked before it is published: in = kept + removed + lost. A stage enters the
fingerprint by its name and fields; fields named `*_path` stay out of it, since where a model lies changes nothing and
its sha256 stands beside it.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from lm import progress, storage
from lm.code_version import source_digest
from lm.configuration import to_mapping
from lm.errors import IntegrityError
from lm.storage import Artifact, Publication
from pipelines.document import REMOVAL_SCHEMA, Stage
from pipelines.tables import (
    CLUSTERS,
    DOCUMENTS,
    LOSSES,
    REMOVALS,
    TableWriter,
    count_rows,
    read_batches,
    read_schema,
    stored_schema,
    text_bytes,
)
from pipelines.workers import Report, run_partitions

__all__ = [
    "CLUSTERS", "DOCUMENTS", "DOCUMENTS_KIND", "LOSSES", "REMOVALS", "Counts", "PartitionWriter", "run_partitions",
    "run_stage", "run_stage_partitions", "stage_config",
]  # fmt: skip

DOCUMENTS_KIND = "documents"
"""The kind of every artifact that holds documents."""


@dataclass(slots=True)
class Counts:
    """What became of the documents of one partition in one stage."""

    num_in: int = 0
    num_kept: int = 0
    text_bytes_in: int = 0
    text_bytes_kept: int = 0
    removed_by_rule: Counter[str] = field(default_factory=Counter)
    lost_by_reason: Counter[str] = field(default_factory=Counter)

    @property
    def num_removed(self) -> int:
        """All removals, whatever the rule."""
        return self.removed_by_rule.total()

    @property
    def num_lost(self) -> int:
        """All losses, whatever the reason."""
        return self.lost_by_reason.total()

    def judge(self, batch: pa.RecordBatch, kept: pa.RecordBatch, removed: pa.RecordBatch) -> None:
        """Count a batch that a stage has judged."""
        self.num_in += batch.num_rows
        self.text_bytes_in += text_bytes(batch)
        self.keep(kept)
        self.remove(removed)

    def keep(self, documents: pa.RecordBatch) -> None:
        """Count documents that stay."""
        self.num_kept += documents.num_rows
        self.text_bytes_kept += text_bytes(documents)

    def remove(self, removals: pa.RecordBatch) -> None:
        """Count removals by rule."""
        self.removed_by_rule.update(removals.column("rule").to_pylist())

    def lose(self, losses: pa.RecordBatch) -> None:
        """Count losses by reason."""
        self.lost_by_reason.update(losses.column("reason").to_pylist())

    def summary(self, stage: str) -> dict[str, Any]:
        """The counts for a manifest.

        Raises:
            IntegrityError: in ≠ kept + removed + lost: the stage made or swallowed documents.
        """
        if self.num_in != self.num_kept + self.num_removed + self.num_lost:
            raise IntegrityError(
                f"stage '{stage}': {self.num_in:,} documents in, but {self.num_kept:,} kept, "
                f"{self.num_removed:,} removed and {self.num_lost:,} lost"
            )
        return {
            "stage": stage,
            "num_in": self.num_in,
            "num_kept": self.num_kept,
            "num_removed": self.num_removed,
            "num_lost": self.num_lost,
            "text_bytes_in": self.text_bytes_in,
            "text_bytes_kept": self.text_bytes_kept,
            "removed_by_rule": dict(sorted(self.removed_by_rule.items())),
            "lost_by_reason": dict(sorted(self.lost_by_reason.items())),
        }


class PartitionWriter(ExitStack):
    """Writes the documents and removals of one partition as they come. A context manager."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        super().__init__()
        self._documents = self.enter_context(TableWriter(folder / DOCUMENTS, stored_schema(schema)))
        self._removals = self.enter_context(TableWriter(folder / REMOVALS, REMOVAL_SCHEMA))

    def write(self, kept: pa.RecordBatch, removed: pa.RecordBatch) -> None:
        """Add one batch of each."""
        self._documents.write(kept)
        self._removals.write(removed)


def stage_config(stage: Stage) -> dict[str, Any]:
    """A stage's configuration without the paths of its models, which say nothing that their sha256 does not."""
    values = to_mapping(stage)
    return {name: value for name, value in values.items() if not name.endswith("_path")}


def run_stage(stage: Stage, source: Artifact, target: Path, *, code: str | None = None) -> Artifact:
    """Send the documents of `source` through `stage` and publish at `target` what it kept and removed.

    Does nothing where that work is done already. `code` is the digest of the stage's code, found where not given.

    Raises:
        IntegrityError: the stage lost or doubled a document; or `source` changed on disk.
        NoSpaceError: the disk is full.
    """
    return storage.make(
        target,
        functools.partial(_write_stage, stage, source),
        kind=DOCUMENTS_KIND,
        config={"stage": stage.name, **stage_config(stage)},
        inputs={"documents": source.digest},
        code=code or source_digest(type(stage).__module__),
    )


def run_stage_partitions(
    stage: Stage,
    sources: Mapping[str, Artifact],
    targets: Mapping[str, Path],
    *,
    num_workers: int = 1,
    report: Report | None = None,
) -> dict[str, Artifact]:
    """`run_stage` for every partition of `sources`, over `num_workers` processes."""
    jobs = {partition: (source, targets[partition]) for partition, source in sources.items()}
    function = functools.partial(_run_job, stage)
    return run_partitions(function, jobs, num_workers=num_workers, report=report, description=stage.name)


def _run_job(stage: Stage, job: tuple[Artifact, Path]) -> Artifact:
    source, target = job
    return run_stage(stage, source, target)


def _write_stage(stage: Stage, source: Artifact, publication: Publication) -> None:
    """Stream the documents through; the columns are those that an empty batch comes out with."""
    judged, _ = stage(pa.RecordBatch.from_pylist([], schema=read_schema(source)))
    counts = Counts()
    with (
        PartitionWriter(publication.path, judged.schema) as writer,
        progress.bar(stage.name, total=count_rows(source), unit="doc") as bar,
    ):
        for batch in read_batches(source):
            kept, removed = stage(batch)
            counts.judge(batch, kept, removed)
            writer.write(kept, removed)
            bar.update(batch.num_rows)
    publication.summary.update(counts.summary(stage.name))
