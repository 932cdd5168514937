"""Deduplication of a whole corpus: all partitions in, one artifact out, each document with its duplicates once.

    1. each partition, in worker processes: ids, addresses, text hashes, signatures → an index (no texts)
    2. same_url        equal addresses
    3. same_text       equal hashes, then equal texts
    4. near_duplicate  signatures that meet in a band, then the true Jaccard index of the shingles
    5. the documents that stay, in the order of partitions and rows; removals with `duplicate_of`; the table of clusters

Decisions: of every group the best document stays (`clusters.Ranking`), whatever the order of partitions. Each step sees
only what the one before has kept, so `duplicate_of` may name a document that a later step removed: follow it on. The
value of a near duplicate is its Jaccard index with the winner; it may lie below the threshold where a third document
links the two.

Memory, in one process: 4 · num_hashes + about 250 bytes a document; 8 bytes a shingle of each candidate; one text for
each that repeats. 112 hashes and ten million documents: 7 GB and the candidates (computed, not measured).
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from lm import progress, storage
from lm.code_version import source_digest
from lm.configuration import to_mapping
from lm.errors import InputError
from lm.storage import Artifact, Publication
from pipelines import minhash
from pipelines.clusters import Indices, Ranking, group_labels
from pipelines.document import split_batch
from pipelines.duplicate_verdicts import CLUSTER_SCHEMA, DuplicateVerdicts
from pipelines.engine import DOCUMENTS_KIND, Counts, PartitionWriter
from pipelines.exact_dedup import TextGroups, hash_text, repeated, url_key
from pipelines.minhash import MinHashConfig
from pipelines.signature_table import SignatureTable, read_signature_table, write_signature_table
from pipelines.tables import CLUSTERS, TableWriter, read_batches, read_schema, stored_schema
from pipelines.workers import Report, run_partitions

STAGE = "dedup"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeduplicationConfig:
    """Which duplicates to look for, and who of them stays."""

    same_url: bool = True
    """Keep one document of each address."""
    same_text: bool = True
    """Keep one document of each text."""
    near_duplicates: bool = True
    """Keep one document of each cluster of near-duplicates."""
    minhash: MinHashConfig = field(default_factory=MinHashConfig)
    """How near-duplicates are found."""
    winner_seed: int | None = None
    """Empty keeps the best document (quality, then length); a number keeps a random one."""


def deduplicate_partitions(
    sources: Mapping[str, Artifact],
    target: Path,
    config: DeduplicationConfig | None = None,
    *,
    num_workers: int = 1,
    report: Report | None = None,
) -> Artifact:
    """Deduplicate the documents of all partitions together and publish one artifact.

    It holds `documents.parquet`, `removals.parquet` and `clusters.parquet`. The partitions count in the sorted order of
    their keys.

    Raises:
        InputError: there is no partition, or partitions have different columns.
        NoSpaceError: the disk is full.
    """
    if not sources:
        raise InputError("deduplication: no partition is given, expected at least one")
    config = config or DeduplicationConfig()
    ordered = dict(sorted(sources.items()))
    return storage.make(
        target,
        functools.partial(_write, ordered, config, num_workers, report),
        kind=DOCUMENTS_KIND,
        config={"stage": STAGE, **to_mapping(config)},
        inputs={key: artifact.digest for key, artifact in ordered.items()},
        code=source_digest("pipelines.deduplicate"),
    )


def _write(
    sources: Mapping[str, Artifact],
    config: DeduplicationConfig,
    num_workers: int,
    report: Report | None,
    publication: Publication,
) -> None:
    table = _index(sources, config.minhash, num_workers, report, publication.path / "index")
    ranking = Ranking(doc_ids=table.doc_ids, lengths=table.lengths, qualities=table.qualities)
    verdicts = DuplicateVerdicts(table, ranking.positions(config.winner_seed))
    if config.same_url:
        alive = verdicts.alive()
        verdicts.decide("same_url", alive, group_labels([url_key(table.urls[index]) for index in alive]))
    if config.same_text:
        alive = verdicts.alive()
        verdicts.decide("same_text", alive, _same_texts(sources, table, alive))
    if config.near_duplicates:
        _remove_near_duplicates(sources, config.minhash, verdicts)
    counts = _write_documents(sources, verdicts, publication.path)
    publication.summary.update(
        counts.summary(STAGE),
        **verdicts.summary(),
        num_unsigned=int((~table.signatures.valid).sum()),
        signature_scheme=table.signatures.scheme,
    )


def _index(
    sources: Mapping[str, Artifact], config: MinHashConfig, num_workers: int, report: Report | None, folder: Path
) -> SignatureTable:
    """The index of all partitions, made by the workers and handed over in files below `folder`, which then go."""
    folder.mkdir()
    jobs = {key: (artifact, folder / f"{number}.arrow") for number, (key, artifact) in enumerate(sources.items())}
    paths = run_partitions(
        functools.partial(_index_partition, config),
        jobs,
        num_workers=num_workers,
        report=report,
        description="signatures",
    )
    table = SignatureTable.join([read_signature_table(path) for path in paths.values()])
    shutil.rmtree(folder)
    return table


def _index_partition(config: MinHashConfig, job: tuple[Artifact, Path]) -> Path:
    source, path = job
    columns = ["doc_id", "url", "text"]
    if "quality_score" in read_schema(source).names:
        columns.append("quality_score")
    parts = [_index_batch(batch, config) for batch in read_batches(source, columns)]
    write_signature_table(path, SignatureTable.join(parts) if parts else SignatureTable.empty(config))
    return path


def _index_batch(batch: pa.RecordBatch, config: MinHashConfig) -> SignatureTable:
    texts = batch.column("text")
    if "quality_score" in batch.schema.names:
        qualities = batch.column("quality_score").cast(pa.float64()).to_numpy(zero_copy_only=False)
    else:
        qualities = np.full(batch.num_rows, np.nan)
    strings = texts.to_pylist()
    return SignatureTable(
        doc_ids=batch.column("doc_id").to_pylist(),
        urls=batch.column("url").to_pylist(),
        hashes=np.array([hash_text(text) for text in strings], np.uint64),
        lengths=np.array([len(text) for text in strings], np.int64),
        qualities=qualities,
        signatures=minhash.sign(texts, config),
    )


def _same_texts(sources: Mapping[str, Artifact], table: SignatureTable, alive: Indices) -> Indices:
    """Labels of `alive` by equal texts; only texts whose hash repeats are read again, and then compared."""
    hashes = table.hashes[alive].tolist()
    among = repeated(hashes)
    doubtful = {int(index) for index, value in zip(alive, hashes, strict=True) if value in among}
    labels = np.arange(alive.size, dtype=np.int64)
    places = {int(index): place for place, index in enumerate(alive)}
    groups = TextGroups()
    for indices, texts in _texts(sources, doubtful, "same texts"):
        for index, text in zip(indices, texts.to_pylist(), strict=True):
            labels[places[index]] = groups.add(places[index], text)
    return labels


def _remove_near_duplicates(
    sources: Mapping[str, Artifact], config: MinHashConfig, verdicts: DuplicateVerdicts
) -> None:
    """Read the texts of all candidates once more, for the Jaccard index of their shingles."""
    from pipelines.minhash_kernels import jaccard

    alive = verdicts.alive()
    among = np.zeros(verdicts.num_documents, np.bool_)
    among[alive] = True
    buckets = minhash.bands(verdicts.table.signatures, config, among)
    sets: dict[int, minhash.Shingles] = {}
    for indices, texts in _texts(sources, set(buckets.candidates().tolist()), "near-duplicates"):
        sets.update(zip(indices, minhash.shingle_sets(texts, config.ngram), strict=True))
    labels = minhash.cluster(buckets, sets, among.size, config)
    verdicts.decide(
        "near_duplicate",
        alive,
        np.searchsorted(alive, labels[alive]),
        value=lambda loser, winner: float(jaccard(sets[loser], sets[winner])),
        threshold=config.jaccard_threshold,
    )


def _texts(
    sources: Mapping[str, Artifact], wanted: set[int], description: str
) -> Iterator[tuple[list[int], pa.LargeStringArray]]:
    """The texts of the `wanted` documents with their indices, batch by batch."""
    if not wanted:
        return
    for first, batch in _batches(sources, description, ["text"]):
        rows = [row for row in range(batch.num_rows) if first + row in wanted]
        if rows:
            yield [first + row for row in rows], batch.column("text").take(pa.array(rows))


def _batches(
    sources: Mapping[str, Artifact], description: str, columns: Sequence[str] | None = None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Every batch of every partition, with the index of its first document."""
    first = 0
    for artifact in progress.track(sources.values(), description, total=len(sources), unit="partition"):
        for batch in read_batches(artifact, columns):
            yield first, batch
            first += batch.num_rows


def _write_documents(sources: Mapping[str, Artifact], verdicts: DuplicateVerdicts, folder: Path) -> Counts:
    counts = Counts()
    with PartitionWriter(folder, _joint_schema(sources)) as writer:
        for first, batch in _batches(sources, "deduplicated documents"):
            here = [verdicts.of.get(first + row) for row in range(batch.num_rows)]
            kept, removed = split_batch(batch, STAGE, here)
            counts.judge(batch, kept, removed)
            writer.write(kept, removed)
    with TableWriter(folder / CLUSTERS, CLUSTER_SCHEMA) as clusters:
        clusters.write(pa.RecordBatch.from_pylist(list(verdicts.members()), schema=CLUSTER_SCHEMA))
    return counts


def _joint_schema(sources: Mapping[str, Artifact]) -> pa.Schema:
    """The columns that all partitions share.

    Raises:
        InputError: a partition has others.
    """
    schemas = {key: stored_schema(read_schema(artifact)) for key, artifact in sources.items()}
    first_key, first = next(iter(schemas.items()))
    for key, schema in schemas.items():
        if not schema.equals(first):
            raise InputError(f"partition '{key}' has columns {schema.names}, '{first_key}' has {first.names}")
    return first
