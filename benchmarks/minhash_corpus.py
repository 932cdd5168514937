"""What a corpus costs: all of `deduplicate_partitions` over pages of open text, one process."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.minhash_signing import pages
from benchmarks.report import Row, timed
from lm import storage
from lm.storage import Artifact
from pipelines.deduplicate import deduplicate_partitions
from pipelines.document import DOCUMENT_SCHEMA
from pipelines.exact_dedup import hash_text
from pipelines.tables import DOCUMENTS

_PAGES = 12_000


def corpus_rows() -> Iterator[Row]:
    """Pages a second of one core from documents to documents, a quarter of the pages near-duplicates of another."""
    texts = _texts()
    size = sum(len(text.encode()) for text in texts)
    with tempfile.TemporaryDirectory(prefix="loam-minhash-") as place:
        sources = {f"bench/g000{part}": _published(Path(place) / str(part), texts[part::4], part) for part in range(4)}
        seconds = timed(lambda: deduplicate_partitions(sources, Path(place) / "out"), time.process_time)
    hashing = timed(lambda: [hash_text(text) for text in texts], time.process_time)
    yield Row(name="hashing whole texts, one core", value=size / hashing / 1e6, unit="MB/s")
    yield Row(name="a corpus, documents to documents, one core", value=_PAGES / seconds, unit="pages/s")
    yield Row(name="the same", value=size / seconds / 1e6, unit="MB/s")


def _texts() -> list[str]:
    """Pages of which every fourth is the one before with some words at its end changed."""
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
