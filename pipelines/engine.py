"""Running stages: a stage over one partition's documents, and a function over many partitions in worker processes.

A partition that was judged is an artifact with `documents.parquet`, `removals.parquet` and, after extraction,
`losses.parquet`. Its summary counts what came in and what became of it; unless in = kept + removed + lost, nothing is
published.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lm import storage
from lm.code_version import source_digest
from lm.configuration import to_mapping
from lm.errors import IntegrityError, PartialError
from lm.progress import bar
from lm.storage import Artifact
from pipelines.document import REMOVAL_SCHEMA, Stage

DOCUMENTS, REMOVALS, LOSSES = "documents.parquet", "removals.parquet", "losses.parquet"
BATCH_SIZE = 512
"""Documents in a batch."""

_MAX_ATTEMPTS = 3

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclasses.dataclass(slots=True)
class Counts:
    """What became of the documents of one partition in one stage."""

    num_in: int = 0
    num_kept: int = 0
    num_lost: int = 0
    text_bytes: int = 0
    """UTF-8 bytes of the kept texts."""
    removed_by_rule: Counter[str] = dataclasses.field(default_factory=Counter)
    lost_by_reason: Counter[str] = dataclasses.field(default_factory=Counter)

    @property
    def num_removed(self) -> int:
        """All removed documents."""
        return self.removed_by_rule.total()

    def add(self, num_in: int, kept: pa.RecordBatch, removed: pa.RecordBatch) -> None:
        """Count one batch."""
        self.num_in += num_in
        self.num_kept += kept.num_rows
        self.text_bytes += pc.sum(pc.binary_length(kept.column("text"))).as_py() or 0
        self.removed_by_rule.update(removed.column("rule").to_pylist())

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
            "text_bytes": self.text_bytes,
            "removed_by_rule": dict(sorted(self.removed_by_rule.items())),
            "lost_by_reason": dict(sorted(self.lost_by_reason.items())),
        }


def run_stage(stage: Stage, source: Artifact, target: Path) -> Artifact:
    """Judge the documents of `source` and publish what is kept and removed; work already done is not done again."""

    def write(publication: storage.Publication) -> None:
        counts = Counts()
        with PartitionWriter(publication.path) as writer:
            for batch in read_documents(source):
                kept, removed = stage(batch)
                counts.add(batch.num_rows, kept, removed)
                writer.write(kept, removed)
        publication.summary.update(counts.summary(stage.name))

    return storage.make(
        target,
        write,
        kind="documents",
        config={"stage": stage.name, **stage_config(stage)},
        inputs={"documents": source.digest},
        code=source_digest(type(stage).__module__),
    )


def stage_config(stage: Any) -> dict[str, Any]:
    """A stage's configuration without the paths of its models, which say nothing that their sha256 does not."""
    return {name: value for name, value in to_mapping(stage).items() if not name.endswith("_path")}


def read_documents(source: Artifact, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The documents of an artifact in batches; at least one batch, so that a schema comes even with no document."""
    with pq.ParquetFile(source.file(DOCUMENTS)) as file:
        if file.metadata.num_rows == 0:
            schema = file.schema_arrow
            fields = [schema.field(name) for name in columns] if columns else list(schema)
            yield pa.RecordBatch.from_pylist([], schema=pa.schema(fields))
        yield from file.iter_batches(batch_size=BATCH_SIZE, columns=columns)


class PartitionWriter:
    """Writes kept documents and removals as they come, zstd-compressed; the first batch gives the documents' schema."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._documents: pq.ParquetWriter | None = None
        self._removals = pq.ParquetWriter(folder / REMOVALS, REMOVAL_SCHEMA, compression="zstd")

    def write(self, kept: pa.RecordBatch, removed: pa.RecordBatch) -> None:
        """Add one batch of each."""
        if self._documents is None:
            self._documents = pq.ParquetWriter(self._folder / DOCUMENTS, kept.schema, compression="zstd")
        if kept.num_rows:
            self._documents.write_batch(kept)
        if removed.num_rows:
            self._removals.write_batch(removed)

    def __enter__(self) -> PartitionWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._removals.close()
        if self._documents is not None:
            self._documents.close()


def run_partitions(
    function: Callable[[Job], Result], jobs: Mapping[str, Job], *, num_workers: int = 1, description: str = "partitions"
) -> dict[str, Result]:
    """`function` of every job, by the jobs' names and in their order; with several workers in processes of their own.

    A job whose worker dies is tried again in a new process. `function` and the jobs must be picklable.

    Raises:
        PartialError: a job's worker died `_MAX_ATTEMPTS` times; names the job and counts what is done.
    """
    with bar(description, total=len(jobs), unit="partition") as progress:
        if num_workers <= 1 or len(jobs) <= 1:
            results = {}
            for name, job in jobs.items():
                results[name] = function(job)
                progress.update()
            return results
        return _run_in_processes(function, jobs, num_workers, progress.update)


def _run_in_processes(
    function: Callable[[Job], Result], jobs: Mapping[str, Job], num_workers: int, advance: Callable[[], object]
) -> dict[str, Result]:
    done: dict[str, Result] = {}
    for attempt in range(_MAX_ATTEMPTS):
        waiting = {name: job for name, job in jobs.items() if name not in done}
        # After a death the jobs run one by one, so that the guilty one cannot take the others with it.
        size = num_workers if attempt == 0 else 1
        for name, result in _attempt(function, waiting, size):
            done[name] = result
            advance()
        if len(done) == len(jobs):
            return {name: done[name] for name in jobs}
    lost = next(name for name in jobs if name not in done)
    raise PartialError(
        f"partition '{lost}': its worker died {_MAX_ATTEMPTS} times; {len(done)} of {len(jobs)} are done"
    )


def _attempt(
    function: Callable[[Job], Result], jobs: Mapping[str, Job], num_workers: int
) -> Iterator[tuple[str, Result]]:
    """The results that come before a worker dies."""
    # Spawned, since forking a process with threads (Arrow, numba, Dagster) can hang the child.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=num_workers, mp_context=context) as pool:
        futures = {pool.submit(function, job): name for name, job in jobs.items()}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                continue
