"""Token shards for training benchmarks: real prose, and documents of the built-in crawl.

prose     `prose/public_domain.jsonl.gz` of the shared data, 132 documents, 4 MB
problems  `gsm8k/*.jsonl` of the shared data, 8,792 questions with their worked answers, 4.7 MB
crawl     what the pipeline extracts from a demo crawl of 2,000 pages
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.shared_data import shared_data
from lm.shards import ShardWriter
from lm.storage import Artifact, Publication, make
from lm.tokenizer import SPECIAL_TOKENS, train_bpe

_PATH = Path("prose") / "public_domain.jsonl.gz"
VALIDATION_SHARE = 0.1


def prose_path() -> Path | None:
    """Return the folder of the documents; None if it is missing."""
    path = shared_data() / _PATH
    return path if path.exists() else None


def prose_shards(source: Path, target: Path, vocab_size: int) -> Artifact:
    """Return shards of the prose."""
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        documents = [(each["id"], each["text"]) for each in map(json.loads, lines)]
    return text_shards(documents, target, vocab_size, "gpt2")


def problem_shards(source: Path, target: Path, vocab_size: int) -> Artifact:
    """Return shards of the problems in a folder: a question and its answer are one document."""
    rows = [json.loads(line) for path in sorted(source.glob("*.jsonl")) for line in path.open(encoding="utf-8")]
    documents = [(str(number), f"{row['question']}\n{row['answer']}") for number, row in enumerate(rows)]
    return text_shards(documents, target, vocab_size, "gpt2")


def crawl_shards(target: Path, vocab_size: int) -> Artifact:
    """Return shards of the built-in crawl; imports the pipeline here, since a bare GPU machine lacks it."""
    from benchmarks.tokenizer_texts import crawl_documents
    from pipelines.demo_crawl import DemoCrawlConfig

    texts = crawl_documents(DemoCrawlConfig())
    return text_shards([(str(number), text) for number, text in enumerate(texts)], target, vocab_size, "digits")


def text_shards(documents: Sequence[tuple[str, str]], target: Path, vocab_size: int, pattern: str) -> Artifact:
    """Return train and validation shards of documents (name, text), with a tokenizer of the training part.

    A tenth of the bytes is held out, as whole documents in the order of a hash of their names.
    """
    training = sorted(documents, key=lambda each: hashlib.sha256(each[0].encode()).digest())
    held_out: list[tuple[str, str]] = []
    room = VALIDATION_SHARE * sum(len(text.encode()) for _, text in training)
    while room > 0:
        held_out.append(training.pop())
        room -= len(held_out[-1][1].encode())

    def write(publication: Publication) -> None:
        tokenizer = train_bpe([text for _, text in training], vocab_size, SPECIAL_TOKENS, pattern)
        sizes = {}
        for split, part in (("train", training), ("validation", held_out)):
            with ShardWriter(
                publication.path,
                tokenizer_digest=tokenizer.digest,
                vocab_size=tokenizer.vocab_size,
                end_of_text_id=tokenizer.end_of_text_id,
                prefix=split,
            ) as writer:
                for name, text in part:
                    writer.write(name, "text", tokenizer.encode_array(text))
            sizes[split] = sum(len(text.encode()) for _, text in part)
        publication.summary.update(text_bytes=sizes)

    content = hashlib.sha256()
    for name, text in training + held_out:
        content.update(f"{name}\0{text}\0".encode())
    config = {"vocab_size": vocab_size, "pattern": pattern}
    return make(
        target, write, kind="token_shards", config=config, inputs={"texts": content.hexdigest()}, code="benchmarks"
    )
