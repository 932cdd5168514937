"""Cost of deduplicating a corpus: `deduplicate_partitions` over pages of open text in one process, by part, with
memory.

Memory per document is the slope of the peak between two runs over short documents, each in its own process. Pages of
memory-mapped files count, so the figure is an upper bound.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.minhash_clusters import peak_bytes
from benchmarks.minhash_signing import pages
from benchmarks.report import Row, timed
from lm import storage
from lm.storage import Artifact
from pipelines.dedup.corpus import deduplicate_partitions
from pipelines.dedup.exact import hash_text
from pipelines.dedup.lsh import ShingleSets
from pipelines.dedup.minhash import shingle_sets
from pipelines.dedup.repeated_lines import LineFilter, RepeatedLines
from pipelines.documents.schema import DOCUMENT_SCHEMA
from pipelines.documents.tables import DOCUMENTS

_PAGES = 12_000
_SHORT = 50_000, 200_000


def corpus_rows() -> Iterator[Row]:
    """Yield pages per second of one core, documents to documents, with 25% near-duplicates."""
    texts = _texts()
    size = sum(len(text.encode()) for text in texts)
    with tempfile.TemporaryDirectory(prefix="loam-minhash-") as place:
        sources = {f"bench/g000{part}": _published(Path(place) / str(part), texts[part::4], part) for part in range(4)}
        seconds = timed(lambda: deduplicate_partitions(sources, Path(place) / "out"), time.process_time)
    yield Row(name="a corpus, documents to documents, one core", value=_PAGES / seconds, unit="pages/s")
    yield Row(name="the same", value=size / seconds / 1e6, unit="MB/s")
    yield from _part_rows(texts[:4000])
    few, many = (_peak_bytes(count) for count in _SHORT)
    yield Row(name="memory a document, at most", value=(many - few) / (_SHORT[1] - _SHORT[0]), unit="bytes")


def _part_rows(texts: list[str]) -> Iterator[Row]:
    size = sum(len(text.encode()) for text in texts)
    hashing = timed(lambda: [hash_text(text) for text in texts], time.process_time)
    yield Row(name="hashing whole texts, one core", value=size / hashing / 1e6, unit="MB/s")
    lines = [text.replace(". ", ".\n") for text in texts]
    num_lines = sum(text.count("\n") + 1 for text in lines)
    nothing = RepeatedLines(np.arange(1, 1_000_001, dtype=np.uint64) << np.uint64(40), np.zeros(1_000_000, np.uint64))
    seconds = timed(lambda: LineFilter(nothing, "none", 1)(lines), time.process_time)
    yield Row(name="looking up lines among a million, one core", value=num_lines / seconds, unit="lines/s")
    sets = ShingleSets.of(np.arange(len(texts)), shingle_sets(texts, 5))
    left = np.tile(np.arange(len(texts) - 1), 10)
    seconds = timed(lambda: sets.jaccard(left, left + 1), time.process_time)
    yield Row(name="true Jaccard indices, pages of 500 words", value=left.size / seconds, unit="pairs/s")


def _peak_bytes(num_documents: int) -> int:
    """Return the memory peak of deduplicating short documents, in a separate process."""
    with (
        tempfile.TemporaryDirectory(prefix="loam-minhash-") as place,
        multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool,
    ):
        sources = pool.apply(_publish_short, (Path(place), num_documents))
        return pool.apply(_deduplicate, (sources, Path(place) / "out"))


def _deduplicate(sources: dict[str, Artifact], target: Path) -> int:
    deduplicate_partitions(sources, target)
    return peak_bytes()


def _publish_short(folder: Path, num_documents: int) -> dict[str, Artifact]:
    """Return documents of eight words, 10,000 per partition; every fifth is a near-duplicate of its predecessor."""
    texts = []
    for number in range(num_documents):
        copy = number % 5 == 4
        texts.append(f"a{number - copy} b c d e f g h{' and more' if copy else ''}")
    parts = [texts[first : first + 10_000] for first in range(0, num_documents, 10_000)]
    return {f"bench/g{part:04d}": _published(folder / str(part), each, part) for part, each in enumerate(parts)}


def _texts() -> list[str]:
    """Return pages; every fourth is its predecessor with some words at the end changed."""
    generator = np.random.default_rng(0)
    source = [page.split(" ") for page in pages()]
    texts: list[str] = []
    while len(texts) < _PAGES:
        if len(texts) % 4 == 3:
            words = texts[-1].split(" ")[:-10] + [f"end{generator.integers(10**9)}" for _ in range(10)]
        else:
            words = list(source[len(texts) % len(source)])
            # Pages come round again: fresh words in every seventh place make them strangers.
            words[::7] = [f"w{number}" for number in generator.integers(0, 10**9, len(words[::7])).tolist()]
        texts.append(" ".join(words))
    return texts


def _published(target: Path, texts: list[str], part: int) -> Artifact:
    count = len(texts)
    columns = {
        "doc_id": [f"00000000-0000-4000-8000-{part:04d}{number:08d}" for number in range(count)],
        "url": [f"https://example.org/{part}/{number}" for number in range(count)],
        "crawl": ["bench"] * count,
        "warc_path": ["bench.warc.gz"] * count,
        "warc_offset": list(range(count)),
        "fetched_at": ["2024-01-01T00:00:00Z"] * count,
        "text": texts,
    }
    with storage.publish(target, kind="documents", config={}, inputs={}, code="") as publication:
        pq.write_table(pa.table(columns, schema=DOCUMENT_SCHEMA), publication.path / DOCUMENTS)
    return publication.artifact
