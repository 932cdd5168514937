"""The refinery in one list: from WARC records to documents worth learning from.

Each step is an artifact made from the one before. The first ones work partition by partition; from deduplication on,
all partitions are one corpus, since a duplicate may lie anywhere.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lm import storage
from lm.code_version import source_digest
from lm.configuration import to_mapping
from lm.storage import Artifact, Publication
from pipelines import layout
from pipelines.deduplicate import DeduplicationConfig, deduplicate_partitions
from pipelines.document import DOCUMENT_SCHEMA, LOSS_SCHEMA
from pipelines.engine import DOCUMENTS, DOCUMENTS_KIND, LOSSES, Counts, PartitionWriter
from pipelines.site_lines import SiteLines, Spans
from pipelines.tables import TableWriter, text_bytes
from pipelines.workers import Report, run_partitions

if TYPE_CHECKING:
    from pipelines.extract import ExtractConfig
    from pipelines.warc_files import WarcFile

__all__ = [
    "CORPUS", "CURATION", "DeduplicationConfig", "Step", "deduplicate_partitions", "extract_partition", "funnel",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of the refinery: the artifact that it makes, the stage that makes it, what that stage asks."""

    artifact: str
    stage: str
    asks: str
    partitioned: bool = True


CURATION = (
    Step(artifact="extracted_documents", stage="extract", asks="is there text in the page?"),
    Step(artifact="language_documents", stage="language", asks="is it in a wanted language?"),
    Step(artifact="heuristic_documents", stage="heuristics", asks="does it look like prose?"),
    Step(artifact="varied_documents", stage="repetition", asks="does it keep from repeating itself?"),
    Step(artifact="harmless_documents", stage="harmful", asks="is it neither insulting nor adult?"),
    Step(artifact="quality_documents", stage="quality", asks="is it worth learning from?"),
    Step(artifact="masked_documents", stage="pii", asks="whom does it name? (masks, removes nothing)"),
    Step(artifact="deduplicated_documents", stage="dedup", asks="is it said elsewhere already?", partitioned=False),
    Step(
        artifact="decontaminated_documents",
        stage="decontaminate",
        asks="does it hold what the model will be measured on?",
        partitioned=False,
    ),
)
"""The steps in their order."""

CORPUS = CURATION[-1].artifact
"""The artifact that the refinery ends with: what tokens are made of."""


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

    `inputs` are the digests of the files' content, by name; where not given, what the files say of themselves. Where
    they lie on this machine and how many children parse changes nothing.

    Raises:
        InputError: a file is missing, empty, or no WARC file.
        NoSpaceError: the disk is full.
    """
    from pipelines.extract import ExtractConfig  # here, since it loads the parsers

    config = config or ExtractConfig()
    return storage.make(
        target,
        functools.partial(_write_extracted, files, partition, config, num_workers),
        kind=DOCUMENTS_KIND,
        config={"stage": CURATION[0].stage, "partition": partition, **to_mapping(config)},
        inputs=inputs or {file.name: file.sha256 for file in files},
        code=source_digest("pipelines.extract"),
    )


class ExtractJob(NamedTuple):
    """A group of WARC files to extract: where its documents go, and the digests of the files' content."""

    files: Sequence[WarcFile]
    partition: str
    target: Path
    inputs: Mapping[str, str]


def extract_partitions(
    jobs: Mapping[str, ExtractJob], config: ExtractConfig, *, num_children: int, report: Report | None = None
) -> dict[str, Artifact]:
    """`extract_partition` for every group, one after the other (each with `num_children` children that parse), or over
    a Ray cluster."""
    return run_partitions(functools.partial(_extract, config, num_children), jobs, report=report, description="extract")


def _extract(config: ExtractConfig, num_children: int, job: ExtractJob) -> Artifact:
    return extract_partition(job.files, job.partition, job.target, config, inputs=job.inputs, num_workers=num_children)


def _write_extracted(
    files: Sequence[WarcFile], partition: str, config: ExtractConfig, num_workers: int, publication: Publication
) -> None:
    """Every page's record counts as in: it is kept, removed or lost. Other records are counted beside them."""
    from pipelines.extract import extract_warc_files

    crawl, _ = layout.parse_partition(partition)
    counts, told, lines = Counts(), Counter[str](), SiteLines()
    with (
        PartitionWriter(publication.path, DOCUMENT_SCHEMA) as writer,
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
        told["num_site_lines"] = _drop_site_lines(publication.path / DOCUMENTS, spans, counts)
    counts.num_in = told["num_records"]
    beside = {name: told[name] for name in sorted(told) if name not in _ACCOUNTED}
    publication.summary.update(counts.summary(CURATION[0].stage), num_files=len(files), **beside)


def _drop_site_lines(path: Path, spans: Spans, counts: Counts) -> int:
    """Write the table at `path` anew, each text cut to its span of lines; returns the number of lines that went."""
    if not spans:
        return 0
    num_dropped = first = 0
    whole = path.rename(path.with_suffix(".whole"))
    with pq.ParquetFile(whole) as file, TableWriter(path, DOCUMENT_SCHEMA) as writer:
        for batch in file.iter_batches():
            texts = batch.column("text").to_pylist()
            for row in spans.keys() & range(first, first + batch.num_rows):
                lines = texts[row - first].split("\n")
                start, stop = spans[row]
                texts[row - first] = "\n".join(lines[start:stop])
                num_dropped += len(lines) - (stop - start)
            cut = batch.set_column(batch.schema.get_field_index("text"), "text", pa.array(texts, pa.large_string()))
            counts.text_bytes_kept += text_bytes(cut) - text_bytes(batch)
            writer.write(cut)
            first += batch.num_rows
    whole.unlink()
    return num_dropped


_ACCOUNTED = ("num_records", "num_kept", "num_removed", "num_lost")


def funnel(artifacts: Iterable[Artifact]) -> list[dict[str, Any]]:
    """What became of documents at each stage: one row a stage, summed over its partitions, in the order of `CURATION`.

    The columns: `stage, num_in, num_kept, num_removed, num_lost, kept_share, text_bytes_kept, removed_by_rule,
    lost_by_reason`.
    """
    by_stage: dict[str, list[Mapping[str, Any]]] = {}
    for artifact in artifacts:
        by_stage.setdefault(artifact.summary["stage"], []).append(artifact.summary)
    return [_funnel_row(step.stage, by_stage[step.stage]) for step in CURATION if step.stage in by_stage]


def _funnel_row(stage: str, summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sums = {
        name: sum(summary[name] for summary in summaries)
        for name in ("num_in", "num_kept", "num_removed", "num_lost", "text_bytes_kept")
    }
    joint = {name: _sum_mappings([summary[name] for summary in summaries]) for name in _MAPPINGS}
    return {"stage": stage, **sums, "kept_share": sums["num_kept"] / max(1, sums["num_in"]), **joint}


_MAPPINGS = ("removed_by_rule", "lost_by_reason")


def _sum_mappings(mappings: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = sorted({name for mapping in mappings for name in mapping})
    return {name: sum(mapping.get(name, 0) for mapping in mappings) for name in names}
