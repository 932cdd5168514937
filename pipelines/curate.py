"""The refinery in one list: from WARC records to documents worth learning from.

Each step is an artifact made from the one before. All but the last work partition by partition; the last needs all
partitions at once, since a duplicate may lie anywhere.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm import storage
from lm.code_version import source_digest
from lm.configuration import to_mapping
from lm.storage import Artifact, Publication
from pipelines import layout
from pipelines.deduplicate import DeduplicationConfig, deduplicate_partitions
from pipelines.document import DOCUMENT_SCHEMA, LOSS_SCHEMA
from pipelines.engine import DOCUMENTS_KIND, LOSSES, Counts, PartitionWriter
from pipelines.tables import TableWriter

if TYPE_CHECKING:
    from pipelines.extract import ExtractConfig
    from pipelines.warc_files import WarcFile

__all__ = ["CURATION", "DeduplicationConfig", "Step", "deduplicate_partitions", "extract_partition", "funnel"]


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
)
"""The steps in their order."""


def extract_partition(
    files: Sequence[WarcFile],
    partition: str,
    target: Path,
    config: ExtractConfig,
    *,
    inputs: Mapping[str, str],
) -> Artifact:
    """Extract the text of every page of a group of WARC files and publish documents, removals and losses.

    `inputs` are the digests of the files, or of the artifact that lists them.

    Raises:
        InputError: a file is missing, empty, or no WARC file.
        NoSpaceError: the disk is full.
    """
    crawl, _ = layout.parse_partition(partition)
    return storage.make(
        target,
        functools.partial(_write_extracted, files, crawl, config),
        kind=DOCUMENTS_KIND,
        config={"stage": CURATION[0].stage, "partition": partition, **to_mapping(config)},
        inputs=inputs,
        code=source_digest("pipelines.extract"),
    )


def _write_extracted(files: Sequence[WarcFile], crawl: str, config: ExtractConfig, publication: Publication) -> None:
    """Every record counts as in: it is kept, removed or lost."""
    from pipelines.extract import extract_warc_files

    counts = Counts()
    with (
        PartitionWriter(publication.path, DOCUMENT_SCHEMA) as writer,
        TableWriter(publication.path / LOSSES, LOSS_SCHEMA) as losses,
    ):
        for batch in extract_warc_files(files, crawl, config):
            counts.num_in += batch.documents.num_rows + batch.removed.num_rows + batch.losses.num_rows
            counts.keep(batch.documents)
            counts.remove(batch.removed)
            counts.lose(batch.losses)
            writer.write(batch.documents, batch.removed)
            losses.write(batch.losses)
    publication.summary.update(counts.summary(CURATION[0].stage), num_files=len(files))


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
