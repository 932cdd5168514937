"""Extraction of a partition: documents, removals and losses from a group of WARC files."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lm import storage
from lm.configuration import to_mapping
from lm.errors import LoamError
from lm.storage import Artifact, Publication
from pipelines.documents.accounts import DOCUMENTS_KIND, Counts, PartitionWriter
from pipelines.documents.schema import DOCUMENT_SCHEMA, EXTRACTION_REMOVAL_SCHEMA, LOSS_SCHEMA
from pipelines.documents.tables import DOCUMENTS, LOSSES, TableWriter, text_bytes
from pipelines.documents.verdicts import TextWriter
from pipelines.executor.partitions import Report, run_partitions
from pipelines.extract.records import ExtractConfig, extract_warc_files
from pipelines.extract.site_boilerplate import SiteLines, Spans
from pipelines.paths import parse_partition
from pipelines.sources.warc_file import WarcFile

STAGE = "extract"


def extract_partition(
    files: Sequence[WarcFile],
    partition: str,
    target: Path,
    config: ExtractConfig | None = None,
    *,
    inputs: Mapping[str, str] | None = None,
    num_workers: int = 1,
) -> Artifact:
    """Extract the text of every page of a group of WARC files and publish documents, removals and losses.

    `inputs` are the digests of the files' content, by name; by default those that the files carry. Where
    they lie on this machine and how many children parse changes nothing.

    Raises:
        InputError: a file is missing, empty, or not a WARC file.
        NoSpaceError: the disk is full.
    """
    config = config or ExtractConfig()
    return storage.make(
        target,
        functools.partial(_write_extracted, files, partition, config, num_workers),
        kind=DOCUMENTS_KIND,
        config={"stage": STAGE, "partition": partition, **to_mapping(config)},
        inputs=inputs or {file.name: file.sha256 for file in files},
    )


class ExtractJob(NamedTuple):
    """A group of WARC files to extract: where its documents go, and the digests of the files' content."""

    files: Sequence[WarcFile]
    partition: str
    target: Path
    inputs: Mapping[str, str]


def extract_partitions(
    jobs: Mapping[str, ExtractJob],
    config: ExtractConfig,
    *,
    num_children: int,
    report: Report | None = None,
    failed: dict[str, LoamError] | None = None,
) -> dict[str, Artifact]:
    """Run `extract_partition` for every group, one after the other (each with `num_children` children that parse), or
    over a Ray cluster. With `failed`, errors of single groups are put there, as `run_partitions` does.
    """
    job = functools.partial(_extract, config, num_children)
    return run_partitions(job, jobs, report=report, description="extract", failed=failed)


def _extract(config: ExtractConfig, num_children: int, job: ExtractJob) -> Artifact:
    return extract_partition(job.files, job.partition, job.target, config, inputs=job.inputs, num_workers=num_children)


def _write_extracted(
    files: Sequence[WarcFile], partition: str, config: ExtractConfig, num_workers: int, publication: Publication
) -> None:
    """Write documents, removals and losses: a page's record is kept, removed or lost, and other records are counted
    beside them.
    """
    crawl, _ = parse_partition(partition)
    counts, told, lines = Counts(), Counter[str](), SiteLines()
    with (
        PartitionWriter(publication.path, DOCUMENT_SCHEMA, EXTRACTION_REMOVAL_SCHEMA) as writer,
        TableWriter(publication.path / LOSSES, LOSS_SCHEMA) as losses,
    ):
        for batch in extract_warc_files(files, crawl, config, num_workers=num_workers):
            counts.keep(batch.documents)
            counts.remove(batch.removed)
            counts.lose(batch.losses)
            told.update(batch.counts)
            writer.write(batch.documents, batch.removed)
            losses.write(batch.losses)
            if config.min_site_pages:
                lines.add(batch.documents.column("url").to_pylist(), batch.documents.column("text").to_pylist())
    if config.min_site_pages:
        spans = lines.spans(config.min_site_pages)
        told["num_site_lines"] = _drop_site_lines(publication.path, spans, counts)
    counts.num_in = told["num_records"]
    beside = {name: told[name] for name in sorted(told) if name not in _ACCOUNTED}
    publication.summary.update(counts.summary(STAGE), num_files=len(files), **beside)


def _drop_site_lines(folder: Path, spans: Spans, counts: Counts) -> int:
    """Write each text that is cut to its span of lines into `texts.parquet`; returns the number of lines dropped."""
    if not spans:
        return 0
    num_dropped = first = 0
    with pq.ParquetFile(folder / DOCUMENTS) as file, TextWriter(folder) as writer:
        for batch in file.iter_batches(columns=["doc_id", "text"]):
            texts = batch.column("text").to_pylist()
            for row in spans.keys() & range(first, first + batch.num_rows):
                lines = texts[row - first].split("\n")
                start, stop = spans[row]
                texts[row - first] = "\n".join(lines[start:stop])
                num_dropped += len(lines) - (stop - start)
            cut = batch.set_column(1, "text", pa.array(texts, pa.large_string()))
            counts.text_bytes_kept += text_bytes(cut) - text_bytes(batch)
            writer.write(first, batch, cut.column("text"))
            first += batch.num_rows
    return num_dropped


_ACCOUNTED = ("num_records", "num_kept", "num_removed", "num_lost")
