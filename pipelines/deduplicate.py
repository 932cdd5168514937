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
each that repeats. 112 hashes and ten million documents: 7 GB and the candidates.
"""

from __future__ import annotations

import functools
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lm import progress, storage
from lm.code_version import source_digest
from lm.configuration import to_mapping
from lm.errors import InputError
from lm.storage import Artifact, Publication
from pipelines import minhash
from pipelines.clusters import Indices, Mask, Ranking, choose_winners, group_labels
from pipelines.document import REMOVAL_SCHEMA
from pipelines.engine import DOCUMENTS_KIND, Counts, PartitionWriter
from pipelines.exact_dedup import TextGroups, hash_text, repeated, url_key
from pipelines.minhash import MinHashConfig
from pipelines.signature_table import SignatureTable, read_signature_table, write_signature_table
from pipelines.tables import CLUSTERS, TableWriter, read_batches, read_schema, stored_schema
from pipelines.workers import Report, run_partitions

STAGE = "dedup"

CLUSTER_SCHEMA = pa.schema(
    [
        pa.field("cluster_id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("jaccard", pa.float64()),
        pa.field("kept", pa.bool_(), nullable=False),
    ]
)
"""One member of one group of duplicates; `cluster_id` is the doc_id of the winner, `jaccard` the index with it."""


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


@dataclass(slots=True)
class _Decisions:
    """Why each document leaves; a document without a rule stays. Groups are recorded as they are decided."""

    table: SignatureTable
    positions: Indices
    rules: dict[int, tuple[str, int, float | None]] = field(default_factory=dict)
    num_groups: Counter[str] = field(default_factory=Counter)
    largest_group: int = 0

    def alive(self) -> Indices:
        """The documents that no step has removed so far, in order."""
        mask = np.ones(len(self.table.doc_ids), np.bool_)
        mask[list(self.rules)] = False
        return np.flatnonzero(mask)

    def decide(
        self, rule: str, members: Indices, labels: Indices, value: Callable[[int, int], float] | None = None
    ) -> None:
        """Keep the best of every group of `members` (`labels` count within them) and remove the others by `rule`."""
        winners = members[choose_winners(labels, self.positions[members])]
        _, sizes = np.unique(labels, return_counts=True)
        self.num_groups[rule] = int((sizes > 1).sum())
        self.largest_group = max(self.largest_group, int(sizes.max(initial=0)))
        for loser, winner in zip(members.tolist(), winners.tolist(), strict=True):
            if loser != winner:
                self.rules[loser] = (rule, winner, value(loser, winner) if value else None)


def _write(
    sources: Mapping[str, Artifact],
    config: DeduplicationConfig,
    num_workers: int,
    report: Report | None,
    publication: Publication,
) -> None:
    table = _index(sources, config.minhash, num_workers, report, publication.path / "index")
    ranking = Ranking(doc_ids=table.doc_ids, lengths=table.lengths, qualities=table.qualities)
    decisions = _Decisions(table, ranking.positions(config.winner_seed))
    if config.same_url:
        alive = decisions.alive()
        decisions.decide("same_url", alive, group_labels([url_key(table.urls[index]) for index in alive]))
    if config.same_text:
        alive = decisions.alive()
        decisions.decide("same_text", alive, _same_texts(sources, table, alive))
    if config.near_duplicates:
        _remove_near_duplicates(sources, config.minhash, decisions)
    threshold = config.minhash.jaccard_threshold
    counts = _write_documents(sources, decisions, threshold, publication.path)
    publication.summary.update(
        counts.summary(STAGE),
        num_clusters=dict(sorted(decisions.num_groups.items())),
        largest_cluster=decisions.largest_group,
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


def _remove_near_duplicates(sources: Mapping[str, Artifact], config: MinHashConfig, decisions: _Decisions) -> None:
    from pipelines.minhash_kernels import jaccard

    alive = decisions.alive()
    among: Mask = np.zeros(len(decisions.table.doc_ids), np.bool_)
    among[alive] = True
    buckets = minhash.bands(decisions.table.signatures, config, among)
    candidates = buckets.candidates()
    sets: dict[int, minhash.Shingles] = {}
    for indices, texts in _texts(sources, set(candidates.tolist()), "near-duplicates"):
        sets.update(zip(indices, minhash.shingle_sets(texts, config.ngram), strict=True))
    labels = minhash.cluster(buckets, sets, among.size, config)
    decisions.decide(
        "near_duplicate",
        alive,
        np.searchsorted(alive, labels[alive]),
        lambda loser, winner: float(jaccard(sets[loser], sets[winner])),
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


def _write_documents(sources: Mapping[str, Artifact], decisions: _Decisions, threshold: float, folder: Path) -> Counts:
    counts = Counts()
    with PartitionWriter(folder, _joint_schema(sources)) as writer:
        for first, batch in _batches(sources, "deduplicated documents"):
            rules = [decisions.rules.get(first + row) for row in range(batch.num_rows)]
            kept = batch.filter(pa.array([rule is None for rule in rules]))
            removed = _removals(decisions, first, rules, threshold)
            counts.judge(batch, kept, removed)
            writer.write(kept, removed)
    with TableWriter(folder / CLUSTERS, CLUSTER_SCHEMA) as clusters:
        clusters.write(pa.RecordBatch.from_pylist(list(_cluster_rows(decisions)), schema=CLUSTER_SCHEMA))
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


def _removals(
    decisions: _Decisions, first: int, rules: Sequence[tuple[str, int, float | None] | None], threshold: float
) -> pa.RecordBatch:
    rows = []
    for row, decision in enumerate(rules):
        if decision is not None:
            rule, winner, value = decision
            rows.append(
                {
                    "doc_id": decisions.table.doc_ids[first + row],
                    "url": decisions.table.urls[first + row],
                    "stage": STAGE,
                    "rule": rule,
                    "value": value,
                    "threshold": None if value is None else threshold,
                    "duplicate_of": decisions.table.doc_ids[winner],
                }
            )
    return pa.RecordBatch.from_pylist(rows, schema=REMOVAL_SCHEMA)


def _cluster_rows(decisions: _Decisions) -> Iterator[dict[str, Any]]:
    """Every group's winner, then those that lost to it, by rule; groups in the order of their winners."""
    groups: dict[tuple[int, str], list[tuple[int, float | None]]] = {}
    for loser, (rule, winner, value) in sorted(decisions.rules.items()):
        groups.setdefault((winner, rule), []).append((loser, value))
    for (winner, rule), losers in sorted(groups.items()):
        yield _member(decisions.table, winner, winner, rule, None)
        for loser, value in losers:
            yield _member(decisions.table, winner, loser, rule, value)


def _member(table: SignatureTable, winner: int, index: int, rule: str, value: float | None) -> dict[str, Any]:
    return {
        "cluster_id": table.doc_ids[winner],
        "doc_id": table.doc_ids[index],
        "url": table.urls[index],
        "rule": rule,
        "jaccard": value,
        "kept": winner == index,
    }
