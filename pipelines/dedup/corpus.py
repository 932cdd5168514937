"""Deduplication of a whole corpus: all partitions in, one artifact out, one document of each group of duplicates kept.

    1. each partition, in worker processes: ids, addresses, text hashes, band keys → an index on disk (no texts)
    2. same_url        equal addresses
    3. same_text       equal hashes, then equal texts
    4. near_duplicate  signatures that share a band key, then the true Jaccard index of the shingles
    5. repeated_lines  on request: lines that occur more than once in the remaining documents
    6. kept documents in the order of partitions and rows; removals with `duplicate_of`; the table of clusters

Decisions: of every group the best document stays (`clusters.Ranking`), whatever the order of partitions. Each step sees
only the documents that the previous step kept, so `duplicate_of` may name a document that a later step removed: follow
the chain. The value of a near-duplicate is its Jaccard index with the winner. That value may lie below the threshold
where a third document links the two.

Out of core: the index, the band rows, the shingles of the candidates and the documents are streamed or memory-mapped.
In memory: about half a kilobyte a document, mapped pages included, `memory_bytes` for sorting, and one text for each
group of equal texts. `docs/deduplication.md` gives the resulting limits.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lm import progress, storage
from lm.configuration import Doc, Range, settle, to_mapping
from lm.errors import InputError
from lm.storage import Artifact, Publication
from pipelines.dedup import lsh, minhash
from pipelines.dedup.array_files import map_values, write_array
from pipelines.dedup.clusters import Indices, Ranking, group_labels
from pipelines.dedup.exact import Keep, TextGroups, hash_text, hash_texts, repeated, url_key
from pipelines.dedup.index import DocumentIndex, read_document_index, write_document_index
from pipelines.dedup.lsh import MEMORY_BYTES, ShingleSets
from pipelines.dedup.minhash_config import MinHashConfig
from pipelines.dedup.repeated_lines import LineFilter, find_repeated_lines
from pipelines.dedup.verdicts import CLUSTER_SCHEMA, DuplicateVerdicts
from pipelines.documents.accounts import DOCUMENTS_KIND, Counts
from pipelines.documents.schema import Verdict, judged
from pipelines.documents.tables import CLUSTERS, TableWriter, stored_schema
from pipelines.documents.verdicts import VerdictWriter, sources_of
from pipelines.documents.view import count_documents, read_documents, read_schema
from pipelines.executor.partitions import Report, engine, run_partitions

STAGE = "dedup"
FEWEST_FOR_PROCESSES = 50_000
"""With fewer documents threads of this process compute signatures and shingles, as processes take longer to start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeduplicationConfig:
    """The kinds of duplicates to remove, and the choice of the document that stays."""

    same_url: Annotated[bool, Doc("Keep one document of each URL.")] = True
    same_text: Annotated[bool, Doc("Keep one document of each text.")] = True
    near_duplicates: Annotated[bool, Doc("Keep one document of each cluster of near-duplicates.")] = True
    minhash: Annotated[MinHashConfig, Doc("Signatures and threshold of near-duplicates.")] = field(
        default_factory=MinHashConfig
    )
    winner_seed: Annotated[
        int | None, Doc("Empty keeps the best document (quality, then length); a number keeps a random one."), Range(0)
    ] = None
    repeated_lines: Annotated[
        Literal["keep_all", "keep_first", "keep_none"],
        Doc(
            "Lines that occur more than once in the remaining documents: keep all, keep the first occurrence, or "
            "remove all. Documents left empty are removed."
        ),
    ] = "keep_all"
    min_line_characters: Annotated[
        int, Doc("Shorter lines are never removed; 1 exempts only the empty lines that separate paragraphs."), Range(0)
    ] = 1
    memory_bytes: Annotated[
        int,
        Doc("Memory for sorting band rows; rows beyond this size are spilled to disk. Changes no result."),
        Range(2**20),
    ] = MEMORY_BYTES

    def __post_init__(self) -> None:
        settle(self, "deduplication")


def deduplicate_partitions(
    sources: Mapping[str, Artifact],
    target: Path,
    config: DeduplicationConfig | None = None,
    *,
    num_workers: int = 1,
    report: Report | None = None,
) -> Artifact:
    """Deduplicate the documents of all partitions together and publish one artifact.

    The artifact has `verdicts.parquet`, `clusters.parquet`, and `texts.parquet` where lines were dropped. Partitions
    are processed in the sorted order of their keys.

    Raises:
        InputError: there is no partition, or partitions have different columns.
        NoSpaceError: the disk is full.
    """
    if not sources:
        raise InputError("deduplication: no partition given, expected at least one")
    config = config or DeduplicationConfig()
    ordered = dict(sorted(sources.items()))
    return storage.make(
        target,
        functools.partial(_write, ordered, target, config, num_workers, report),
        kind=DOCUMENTS_KIND,
        config={"stage": STAGE, **{key: value for key, value in to_mapping(config).items() if key != "memory_bytes"}},
        inputs={key: artifact.digest for key, artifact in ordered.items()},
    )


def _write(
    sources: Mapping[str, Artifact],
    target: Path,
    config: DeduplicationConfig,
    num_workers: int,
    report: Report | None,
    publication: Publication,
) -> None:
    scratch = publication.path / "scratch"
    scratch.mkdir()
    index = _index(sources, config.minhash, num_workers, report, scratch / "index")
    ranking = Ranking(doc_ids=index.doc_ids, lengths=index.lengths, qualities=index.qualities)
    verdicts = DuplicateVerdicts(index, ranking.positions(config.winner_seed))
    if config.same_url:
        alive = verdicts.alive()
        verdicts.decide("same_url", alive, _same_urls(index, alive))
    if config.same_text:
        alive = verdicts.alive()
        verdicts.decide("same_text", alive, _same_texts(sources, index, alive))
    if config.near_duplicates:
        _remove_near_duplicates(sources, config, verdicts, num_workers, report, scratch)
    shutil.rmtree(scratch / "buckets", ignore_errors=True)
    lines = _line_filter(sources, config, verdicts, num_workers, report, scratch)
    counts = _write_verdicts(sources, verdicts, lines, publication.path)
    publication.summary.update(
        counts.summary(STAGE),
        **verdicts.summary(),
        **({} if lines is None else {"num_lines_dropped": lines.num_dropped}),
        num_unsigned=int((~index.valid).sum()),
        signature_scheme=index.scheme,
        sources=sources_of(target, list(sources.values())),
    )
    shutil.rmtree(scratch)


def _index(
    sources: Mapping[str, Artifact], config: MinHashConfig, num_workers: int, report: Report | None, folder: Path
) -> DocumentIndex:
    """Return the index of all partitions, computed by workers and memory-mapped from folders below `folder`."""
    folder.mkdir()
    jobs = {key: (artifact, folder / str(number)) for number, (key, artifact) in enumerate(sources.items())}
    num_documents = sum(map(count_documents, sources.values()))
    paths = run_partitions(
        functools.partial(_index_partition, config),
        jobs,
        num_workers=num_workers,
        report=report,
        description="signatures",
        in_threads=num_documents < FEWEST_FOR_PROCESSES,
    )
    return DocumentIndex.join([read_document_index(path) for path in paths.values()])


def _index_partition(config: MinHashConfig, job: tuple[Artifact, Path]) -> Path:
    source, path = job
    columns = ["doc_id", "url", "text"]
    if "quality_score" in read_schema(source).names:
        columns.append("quality_score")
    parts = [index_batch(batch, config) for batch in read_documents(source, columns)]
    shutil.rmtree(path, ignore_errors=True)  # of a worker that died here
    write_document_index(path, DocumentIndex.join(parts) if parts else DocumentIndex.empty(config))
    return path


def index_batch(batch: pa.RecordBatch, config: MinHashConfig) -> DocumentIndex:
    """Return the index of a batch of documents: a pure function, for any engine."""
    texts = batch.column("text")
    if "quality_score" in batch.schema.names:
        qualities = batch.column("quality_score").cast(pa.float64()).to_numpy(zero_copy_only=False)
    else:
        qualities = np.full(batch.num_rows, np.nan)
    signatures = minhash.sign(texts, config)
    urls = batch.column("url")
    return DocumentIndex(
        scheme=signatures.scheme,
        doc_ids=pa.chunked_array([batch.column("doc_id")]),
        urls=pa.chunked_array([urls]),
        url_hashes=np.array([hash_text(url_key(url)) for url in urls.to_pylist()], np.uint64),
        hashes=hash_texts(texts),
        lengths=pc.utf8_length(texts).to_numpy().astype(np.int64),
        qualities=qualities,
        valid=signatures.valid,
        bands=[minhash.bands(signatures, config)],
    )


def _same_urls(index: DocumentIndex, alive: Indices) -> Indices:
    """Return labels of `alive` by equal addresses; only addresses with repeated hashes are read and compared."""
    doubtful = np.flatnonzero(repeated(index.url_hashes[alive]))
    labels = np.arange(alive.size, dtype=np.int64)
    urls = index.urls.take(pa.array(alive[doubtful])).to_pylist()
    labels[doubtful] = doubtful[group_labels([url_key(url) for url in urls])]
    return labels


def _same_texts(sources: Mapping[str, Artifact], index: DocumentIndex, alive: Indices) -> Indices:
    """Return labels of `alive` by equal texts; only texts with repeated hashes are read again and compared."""
    doubtful = np.flatnonzero(repeated(index.hashes[alive]))
    labels = np.arange(alive.size, dtype=np.int64)
    places = iter(doubtful.tolist())
    groups = TextGroups()
    for _, texts in _texts(sources, alive[doubtful], "same texts"):
        for text, place in zip(texts.to_pylist(), places, strict=False):
            labels[place] = groups.add(place, text)
    return labels


def _remove_near_duplicates(
    sources: Mapping[str, Artifact],
    config: DeduplicationConfig,
    verdicts: DuplicateVerdicts,
    num_workers: int,
    report: Report | None,
    scratch: Path,
) -> None:
    """Remove near-duplicates: find buckets, then compare the shingles of all candidates, read from their texts."""
    alive, index = verdicts.alive(), verdicts.index
    among = np.zeros(verdicts.num_documents, np.bool_)
    among[alive] = True
    threshold = config.minhash.jaccard_threshold
    if engine() == "ray":
        from pipelines.dedup import lsh_ray  # here, since Ray is an extra

        met = lsh_ray.find_buckets_on_ray(index.bands, among, scratch / "buckets")
        candidates = np.flatnonzero(lsh_ray.candidates_on_ray(met, among.size))
    else:
        found = lsh.find_buckets(
            index.bands, scratch / "buckets", among=among, memory_bytes=config.memory_bytes, num_threads=num_workers
        )
        candidates = np.flatnonzero(lsh.candidates(found, among.size))
    sets = _shingle_sets(sources, candidates, config.minhash.ngram, num_workers, report, scratch / "shingles")
    if engine() == "ray":
        labels = lsh_ray.cluster_on_ray(met, sets, index.content(), threshold, scratch / "sets")
    else:
        labels = lsh.cluster(found, sets, index.content(), threshold, num_threads=num_workers)
    verdicts.decide(
        "near_duplicate",
        alive,
        np.searchsorted(alive, labels[alive]),
        value=sets.jaccard,
        threshold=config.minhash.jaccard_threshold,
    )


def _shingle_sets(
    sources: Mapping[str, Artifact],
    candidates: Indices,
    ngram: int,
    num_workers: int,
    report: Report | None,
    folder: Path,
) -> ShingleSets:
    """Return the shingles of the candidates, computed by workers and mapped from one file."""
    folder.mkdir()
    rows = _rows_by_partition(sources, candidates).items()
    jobs = {key: (*job, folder / str(number)) for number, (key, job) in enumerate(rows)}
    shingle = functools.partial(_shingle_partition, ngram)
    few = candidates.size < FEWEST_FOR_PROCESSES
    sizes = run_partitions(
        shingle, jobs, num_workers=num_workers, report=report, description="near-duplicates", in_threads=few
    )
    values, *others = [path for _, _, path in jobs.values()]
    with values.open("ab") as joint:
        for path in others:
            with path.open("rb") as part:
                shutil.copyfileobj(part, joint, 1 << 24)
            path.unlink()
    starts = np.concatenate([[0], np.cumsum(np.concatenate(list(sizes.values())))]).astype(np.int64)
    return ShingleSets(candidates, starts, map_values(values, np.uint64))


def _rows_by_partition(sources: Mapping[str, Artifact], wanted: Indices) -> dict[str, tuple[Artifact, Indices]]:
    """Return every partition with the rows of its own `wanted` documents (ascending)."""
    found, first = {}, 0
    for key, artifact in sources.items():
        last = first + count_documents(artifact)
        here = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, last)]
        found[key], first = (artifact, here - first), last
    return found


def _line_filter(
    sources: Mapping[str, Artifact],
    config: DeduplicationConfig,
    verdicts: DuplicateVerdicts,
    num_workers: int,
    report: Report | None,
    scratch: Path,
) -> LineFilter | None:
    """Return the line filter for the remaining documents; None where repeated lines are kept."""
    if config.repeated_lines == "keep_all":
        return None
    repeated_lines = find_repeated_lines(
        _rows_by_partition(sources, verdicts.alive()),
        scratch / "lines",
        min_characters=config.min_line_characters,
        memory_bytes=config.memory_bytes,
        num_workers=num_workers,
        report=report,
    )
    keep: Keep = "first" if config.repeated_lines == "keep_first" else "none"
    return LineFilter(repeated_lines, keep, config.min_line_characters)


def _shingle_partition(ngram: int, job: tuple[Artifact, Indices, Path]) -> Indices:
    """Write the shingles of some documents of a partition; return the number of shingles of each."""
    source, wanted, path = job
    sizes: list[int] = []
    with path.open("wb") as file:
        for _, texts in _texts({"": source}, wanted, "shingles"):
            sets = minhash.shingle_sets(texts, ngram)
            sizes += [each.size for each in sets]
            write_array(file, np.concatenate(sets))
    return np.array(sizes, np.int64)


def _texts(
    sources: Mapping[str, Artifact], wanted: Indices, description: str
) -> Iterator[tuple[Indices, pa.LargeStringArray]]:
    """Yield the texts of the `wanted` documents (ascending) with their indices, batch by batch."""
    if wanted.size == 0:
        return
    for first, batch in _batches(sources, description, ["text"]):
        here = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, first + batch.num_rows)]
        if here.size:
            yield here, batch.column("text").take(pa.array(here - first))


def _batches(
    sources: Mapping[str, Artifact], description: str, columns: Sequence[str] | None = None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield every batch of every partition, with the index of its first document."""
    first = 0
    for artifact in progress.track(sources.values(), description, total=len(sources), unit="partition"):
        for batch in read_documents(artifact, columns):
            yield first, batch
            first += batch.num_rows


def _write_verdicts(
    sources: Mapping[str, Artifact], verdicts: DuplicateVerdicts, lines: LineFilter | None, folder: Path
) -> Counts:
    counts, schema = Counts(), _joint_schema(sources)
    with VerdictWriter(folder, schema, schema) as writer:
        for first, batch in _batches(sources, "deduplicated documents", ["doc_id", "url", "text"]):
            here, columns = verdicts.verdicts(first, batch.num_rows), {}
            if lines is not None:
                columns["text"] = _drop_lines(lines, batch, here)
            judgement = judged(batch, here, columns)
            counts.judge(batch, judgement)
            writer.write(batch, judgement)
    with TableWriter(folder / CLUSTERS, CLUSTER_SCHEMA) as clusters:
        for members in verdicts.members():
            clusters.write(members)
    return counts


def _drop_lines(lines: LineFilter, batch: pa.RecordBatch, verdicts: list[Verdict | None]) -> pa.Array:
    """Return the texts without repeated lines; a document that becomes empty gets its verdict here."""
    texts = batch.column("text").to_pylist()
    alive = [row for row, verdict in enumerate(verdicts) if verdict is None]
    left, shares = lines([texts[row] for row in alive])
    for row, text, share in zip(alive, left, shares, strict=True):
        texts[row] = text
        if share and not text.strip():
            verdicts[row] = Verdict(rule="repeated_lines", value=share)
    return pa.array(texts, batch.schema.field("text").type)


def _joint_schema(sources: Mapping[str, Artifact]) -> pa.Schema:
    """Return the schema that all partitions share.

    Raises:
        InputError: a partition has others.
    """
    schemas = {key: stored_schema(read_schema(artifact)) for key, artifact in sources.items()}
    first_key, first = next(iter(schemas.items()))
    for key, schema in schemas.items():
        if not schema.equals(first):
            raise InputError(f"partition '{key}' has columns {schema.names}, '{first_key}' has {first.names}")
    return first
