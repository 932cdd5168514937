"""Texts and tokenizer shared by the tokenizer benchmarks.

crawl   documents of a demo crawl, 20 MB or more: made once by the real pipeline, then kept in the temporary folder
prose   132 documents of real prose, 4 MB (`prose/public_domain.jsonl.gz` of the shared data); absent without that data
"""

from __future__ import annotations

import gzip
import json
import tempfile
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import pyarrow as pa

from benchmarks.shared_data import shared_data
from lm.code_version import code_digest
from lm.tokenizer import Tokenizer, train_bpe
from pipelines.demo_crawl import DemoCrawlConfig, write_demo_crawl
from pipelines.extract.records import extract_warc_files
from pipelines.sources.warc_file import WarcFile

CRAWL = DemoCrawlConfig(num_pages=15_000)
END_OF_TEXT = "<|endoftext|>"


@dataclass(frozen=True)
class Corpus:
    """Documents measured together."""

    name: str
    texts: list[str]

    @cached_property
    def size_bytes(self) -> int:
        """Return the documents' size in UTF-8."""
        return sum(len(text.encode()) for text in self.texts)

    @cached_property
    def arrow(self) -> pa.Array:
        """Return the documents as an Arrow array, as in the pipeline."""
        return pa.array(self.texts, pa.large_string())


def corpora() -> list[Corpus]:
    """Return the texts of the tokenizer benchmarks."""
    prose = shared_data() / "prose" / "public_domain.jsonl.gz"
    found = [Corpus("crawl", crawl_documents())]
    if prose.exists():
        with gzip.open(prose, "rt", encoding="utf-8") as stream:
            found.append(Corpus("prose", [json.loads(line)["text"] for line in stream]))
    return found


def crawl_documents(config: DemoCrawlConfig = CRAWL) -> list[str]:
    """Return the extracted texts of a demo crawl."""
    key = json.dumps([asdict(config), code_digest(write_demo_crawl), code_digest(extract_warc_files)])
    cached = Path(tempfile.gettempdir()) / f"loam-benchmark-{sha256(key.encode()).hexdigest()[:16]}.json"
    if not cached.exists():
        with tempfile.TemporaryDirectory() as folder:
            write_demo_crawl(config, Path(folder))
            paths = sorted((Path(folder) / "warc").iterdir())
            files = [WarcFile(name=p.name, path=p, size_bytes=p.stat().st_size, sha256="") for p in paths]
            found = [
                text for batch in extract_warc_files(files, "demo") for text in batch.documents["text"].to_pylist()
            ]
            staged = Path(folder) / "texts.json"
            staged.write_text(json.dumps(found), encoding="utf-8")
            staged.replace(cached)
    texts: list[str] = json.loads(cached.read_text(encoding="utf-8"))
    return texts


def tokenizer_to_measure(documents: list[str]) -> Tokenizer:
    """Return GPT-2's tokenizer, or without the shared data one of 32,000 tokens trained on `documents`."""
    vocab, merges = shared_data() / "tokenizer" / "gpt2_vocab.json", shared_data() / "tokenizer" / "gpt2_merges.txt"
    if vocab.exists():
        return Tokenizer.from_files(vocab, merges, [END_OF_TEXT])
    return train_bpe(documents, 32_000, [END_OF_TEXT], "gpt2")
