"""Documents to token shards: learn the tokenizer, split off the validation part, shuffle, encode, write.

Decisions:
- A document belongs to the validation split by a hash of its doc_id and the seed: adding documents moves none of the
  others from one split to the other.
- The shuffle holds `shuffle_buffer` documents and gives a random one for each that comes in. It is deterministic, and
  it mixes neighbours, not the whole corpus: a document leaves early by at most the buffer, late by more.
- Every document is decoded again and compared; the summary counts those that differ.
- Text from outside makes no special token: `<|endoftext|>` in a page is encoded as the characters that it is.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lm import progress, storage
from lm.code_version import source_digest
from lm.configuration import to_mapping
from lm.errors import ConfigurationError
from lm.shards import ShardWriter
from lm.storage import Artifact, Publication
from lm.tokenizer import Tokenizer, train_bpe
from lm.tokenizer.tokenizer import SPECIAL_TOKENS
from pipelines.tables import count_rows, read_batches

TOKEN_SHARDS_KIND, TOKENIZER_KIND = "token_shards", "tokenizer"
SPLITS = ("train", "validation")

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerConfig:
    """How the tokenizer is learned."""

    vocab_size: int = 4096
    """Ids: 256 bytes, the merges, the special tokens."""
    pattern: str = "digits"
    """Where a merge may never reach across; `digits` keeps every digit alone, so that numbers align."""
    max_text_bytes: int | None = None
    """Learn from the first documents of this many UTF-8 bytes together; empty takes all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizeConfig:
    """How documents become shards.

    Raises:
        ConfigurationError: at construction, a value out of its range.
    """

    validation_share: float = 0.05
    """Share of the documents held out of training."""
    seed: int = 1
    """Draws the validation split and the order of documents."""
    max_tokens_per_shard: int = 2**24
    """Tokens in a shard file; a longer document gets its own."""
    shuffle_buffer: int = 10_000
    """Documents among which the next one is drawn; 1 keeps their order."""

    def __post_init__(self) -> None:
        if not 0 <= self.validation_share < 1:
            raise ConfigurationError(f"tokenize.validation_share: {self.validation_share}, expected 0 to below 1")
        for name in ("max_tokens_per_shard", "shuffle_buffer"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"tokenize.{name}: {getattr(self, name)}, expected at least 1")


def train_corpus_tokenizer(documents: Artifact, target: Path, config: TokenizerConfig | None = None) -> Artifact:
    """Learn a tokenizer from the texts of `documents` and publish it.

    Raises:
        ConfigurationError: `vocab_size` has no room for the bytes and the special tokens, or the pattern is unknown.
        InputError: there is no text.
    """
    config = config or TokenizerConfig()

    def write(publication: Publication) -> None:
        texts = _first_texts(documents, config.max_text_bytes)
        tokenizer = train_bpe(texts, config.vocab_size, SPECIAL_TOKENS, pattern=config.pattern)
        tokenizer.save(publication.path)
        publication.summary.update(
            vocab_size=tokenizer.vocab_size, num_merges=len(tokenizer.merges), tokenizer_digest=tokenizer.digest
        )

    return storage.make(
        target,
        write,
        kind=TOKENIZER_KIND,
        config=to_mapping(config),
        inputs={"documents": documents.digest},
        code=source_digest("lm.tokenizer.train"),
    )


def write_token_shards(
    documents: Artifact,
    tokenizer: Artifact | Path | str,
    target: Path,
    config: TokenizeConfig | None = None,
    *,
    num_threads: int = 1,
) -> Artifact:
    """Encode `documents` and publish `train-*.arrow` and `validation-*.arrow`.

    The summary counts per split `documents`, `tokens` (end-of-text included) and `text_bytes`, the same per shard, and
    the documents that did not survive encoding and decoding.

    Raises:
        InputError: no tokenizer there.
        NoSpaceError: the disk is full.
    """
    config = config or TokenizeConfig()
    loaded = Tokenizer.load(tokenizer)
    return storage.make(
        target,
        functools.partial(_write_shards, documents, loaded, config, num_threads),
        kind=TOKEN_SHARDS_KIND,
        config=to_mapping(config),
        inputs={"documents": documents.digest, "tokenizer": loaded.digest},
        code=source_digest("pipelines.tokenize"),
    )


def split_of(doc_id: str, config: TokenizeConfig) -> Literal["train", "validation"]:
    """The split of a document: a hash of seed and id, as a fraction, lies below the validation share or not."""
    drawn = hashlib.blake2b(f"{config.seed}:{doc_id}".encode(), digest_size=8).digest()
    return "validation" if int.from_bytes(drawn, "big") < config.validation_share * 2**64 else "train"


def shuffled(items: Iterable[Item], buffer_size: int, seed: int) -> Iterator[Item]:
    """The items in a random order that is the same for the same seed; at most `buffer_size` are held."""
    generator = np.random.Generator(np.random.PCG64(seed))
    held: list[Item] = []
    for item in items:
        if len(held) < buffer_size:
            held.append(item)
            continue
        drawn = int(generator.integers(buffer_size))
        yield held[drawn]
        held[drawn] = item
    for drawn in generator.permutation(len(held)):
        yield held[drawn]


class _Encoded(NamedTuple):
    doc_id: str
    source: str
    token_ids: npt.NDArray[Any]
    text_bytes: int
    survives: bool


@dataclass(slots=True)
class _Split:
    """One split's writer, and the text bytes of each document in the order written."""

    writer: ShardWriter
    text_bytes: list[int] = field(default_factory=list)

    def write(self, encoded: _Encoded) -> None:
        self.writer.write(encoded.doc_id, encoded.source, encoded.token_ids)
        self.text_bytes.append(encoded.text_bytes)


def _write_shards(
    documents: Artifact, tokenizer: Tokenizer, config: TokenizeConfig, num_threads: int, publication: Publication
) -> None:
    splits = {split: _Split(_writer(publication.path, tokenizer, config, split)) for split in SPLITS}
    num_broken = 0
    stream = shuffled(_encode(documents, tokenizer, num_threads), config.shuffle_buffer, config.seed)
    for encoded in progress.track(stream, "tokenize", total=count_rows(documents), unit="doc"):
        splits[split_of(encoded.doc_id, config)].write(encoded)
        num_broken += not encoded.survives
    for split in splits.values():
        split.writer.close()
    publication.summary.update(
        documents={name: split.writer.num_documents for name, split in splits.items()},
        tokens={name: split.writer.num_tokens for name, split in splits.items()},
        text_bytes={name: sum(split.text_bytes) for name, split in splits.items()},
        shards={key: value for split in splits.values() for key, value in _shard_counts(publication.path, split)},
        num_round_trip_failures=num_broken,
        vocab_size=tokenizer.vocab_size,
        tokenizer_digest=tokenizer.digest,
    )


def _writer(folder: Path, tokenizer: Tokenizer, config: TokenizeConfig, split: str) -> ShardWriter:
    return ShardWriter(
        folder,
        tokenizer_digest=tokenizer.digest,
        vocab_size=tokenizer.vocab_size,
        end_of_text_id=tokenizer.end_of_text_id,
        prefix=split,
        max_tokens_per_shard=config.max_tokens_per_shard,
    )


def _encode(documents: Artifact, tokenizer: Tokenizer, num_threads: int) -> Iterator[_Encoded]:
    for batch in read_batches(documents, ["doc_id", "crawl", "text"]):
        columns = (batch.column(name).to_pylist() for name in ("doc_id", "crawl", "text"))
        doc_ids, crawls, texts = columns
        arrays = tokenizer.encode_batch(texts, num_threads)
        for doc_id, crawl, text, ids in zip(doc_ids, crawls, texts, arrays, strict=True):
            data = text.encode()
            yield _Encoded(doc_id, crawl, ids, len(data), tokenizer.decode_bytes(ids.tolist()) == data)


def _shard_counts(folder: Path, split: _Split) -> Iterator[tuple[str, dict[str, int]]]:
    """Documents, tokens and text bytes of every shard file."""
    first = 0
    for name in split.writer.names:
        with pa.memory_map(str(folder / name), "r") as source:
            batch = pa.ipc.open_file(source).get_batch(0)
            num_documents, num_tokens = batch.num_rows, len(batch.column("token_ids").values)
        counted = sum(split.text_bytes[first : first + num_documents])
        yield name, {"documents": num_documents, "tokens": num_tokens, "text_bytes": counted}
        first += num_documents


def _first_texts(documents: Artifact, max_text_bytes: int | None) -> Iterator[str]:
    """The texts in order, until `max_text_bytes` are reached; the document that reaches it is the last."""
    given = 0
    for batch in read_batches(documents, ["text"]):
        for text in batch.column("text").to_pylist():
            if max_text_bytes is not None and given >= max_text_bytes:
                return
            given += len(text.encode())
            yield text
