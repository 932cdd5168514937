"""Real prose as token shards: `prose/public_domain.jsonl.gz` of the shared data, 132 documents, 4 MB."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path

from lm.shards import ShardWriter
from lm.storage import Artifact, Publication, make
from lm.tokenizer import SPECIAL_TOKENS, train_bpe

_PATH = Path("prose") / "public_domain.jsonl.gz"
VALIDATION_SHARE = 0.1


def prose_path() -> Path | None:
    """Where the documents lie; None where they are not here."""
    root = Path(os.environ.get("LOAM_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
    path = root / _PATH
    return path if path.exists() else None


def prose_shards(source: Path, target: Path, vocab_size: int, pattern: str = "gpt2") -> Artifact:
    """Train and validation shards of the documents, and of a tokenizer learned from the training part alone.

    A tenth of the bytes is held out, as whole documents in the order of a hash of their ids.
    """
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        documents = [(each["id"], each["text"]) for each in map(json.loads, lines)]
    documents.sort(key=lambda each: hashlib.sha256(each[0].encode()).digest())
    held_out: list[tuple[str, str]] = []
    room = VALIDATION_SHARE * sum(len(text.encode()) for _, text in documents)
    while room > 0:
        held_out.append(documents.pop())
        room -= len(held_out[-1][1].encode())

    def write(publication: Publication) -> None:
        tokenizer = train_bpe([text for _, text in documents], vocab_size, SPECIAL_TOKENS, pattern)
        sizes = {}
        for split, part in (("train", documents), ("validation", held_out)):
            with ShardWriter(
                publication.path,
                tokenizer_digest=tokenizer.digest,
                vocab_size=tokenizer.vocab_size,
                end_of_text_id=tokenizer.end_of_text_id,
                prefix=split,
            ) as writer:
                for name, text in part:
                    writer.write(name, "prose", tokenizer.encode_array(text))
            sizes[split] = sum(len(text.encode()) for _, text in part)
        publication.summary.update(text_bytes=sizes)

    config = {"vocab_size": vocab_size, "pattern": pattern}
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    return make(target, write, kind="token_shards", config=config, inputs={"prose": digest}, code="benchmarks.prose")
