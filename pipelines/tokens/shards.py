"""Token shards from documents: learn the tokenizer, split off validation documents, shuffle, encode, write.

Decisions:
- A document belongs to the validation split by a hash of its doc_id and the seed: adding documents moves none of the
  others from one split to the other.
- The shuffle holds `shuffle_buffer` documents and gives a random one for each that comes in. It is deterministic, and
  it mixes neighbours, not the whole corpus: a document leaves early by at most the buffer, late by more.
- Every document is decoded again and compared; the summary counts those that differ.
- Text never becomes a special token: `<|endoftext|>` in a page is encoded as plain characters.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
import pyarrow as pa

from lm import progress, storage
from lm.configuration import Doc, Range, settle, to_mapping
from lm.locations import workspace
from lm.shards import ShardWriter
from lm.storage import Artifact, Publication
from lm.tokenizer import Tokenizer, train_bpe
from lm.tokenizer.tokenizer import SPECIAL_TOKENS
from pipelines.documents.view import count_documents, read_documents
from pipelines.tokens.encoded_parts import EncodedDocument, encode_in_parts

TOKEN_SHARDS_KIND, TOKENIZER_KIND = "token_shards", "tokenizer"
SPLITS = ("train", "validation")

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerConfig:
    """Settings of tokenizer training.

    Raises:
        ConfigurationError: at construction, a value out of its range.
    """

    vocab_size: Annotated[
        int, Doc("Size of the vocabulary: 256 bytes, the merges and the special tokens."), Range(1, 2**31)
    ] = 4096
    pattern: Annotated[
        str,
        Doc(
            "Pre-tokenization pattern: no merge crosses its boundaries. `digits` splits off every digit, so that "
            "numbers align."
        ),
    ] = "digits"
    sample_share: Annotated[
        float, Doc("Share of the documents to train on, chosen by a hash of the document id."), Range(above=0, most=1)
    ] = 1.0
    max_text_bytes: Annotated[
        int | None,
        Doc("Train on the first documents until this many UTF-8 bytes are reached; empty takes all."),
        Range(1),
    ] = None
    max_pre_tokens: Annotated[
        int | None,
        Doc(
            "Maximum number of distinct pre-tokens kept while counting: bounds memory on large corpora by dropping "
            "the rarest. Empty keeps all."
        ),
        Range(1),
    ] = None

    def __post_init__(self) -> None:
        settle(self, "tokenizer")


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizeConfig:
    """Settings of token shards.

    Raises:
        ConfigurationError: at construction, a value out of its range.
    """

    validation_share: Annotated[float, Doc("Share of the documents held out of training."), Range(0, below=1)] = 0.05
    seed: Annotated[int, Doc("Seed of the validation split and of the order of documents."), Range(0)] = 1
    max_tokens_per_shard: Annotated[
        int, Doc("Maximum tokens per shard file; a longer document gets a file of its own."), Range(1)
    ] = 2**24
    shuffle_buffer: Annotated[
        int, Doc("Shuffle buffer: the number of documents from which the next is drawn; 1 keeps their order."), Range(1)
    ] = 10_000

    def __post_init__(self) -> None:
        settle(self, "tokenize")


def train_corpus_tokenizer(documents: Artifact, target: Path, config: TokenizerConfig | None = None) -> Artifact:
    """Learn a tokenizer from the texts of `documents` and publish it.

    Raises:
        ConfigurationError: `vocab_size` has no room for the bytes and the special tokens, or the pattern is unknown.
        InputError: there is no text.
    """
    config = config or TokenizerConfig()

    def write(publication: Publication) -> None:
        counted: dict[str, object] = {}
        tokenizer = train_bpe(
            _texts_to_learn_from(documents, config),
            config.vocab_size,
            SPECIAL_TOKENS,
            pattern=config.pattern,
            max_pre_tokens=config.max_pre_tokens,
            report=counted.update,
        )
        tokenizer.save(publication.path)
        publication.summary.update(counted, vocab_size=tokenizer.vocab_size, tokenizer_digest=tokenizer.digest)

    return storage.make(
        target,
        write,
        kind=TOKENIZER_KIND,
        config=to_mapping(config),
        inputs={"documents": documents.digest},
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
    the documents that did not survive encoding and decoding. The encoded parts lie in `NAME.work` beside the target
    until the end: an interrupted call, made again, goes on from them.

    Raises:
        InputError: there is no tokenizer.
        NoSpaceError: the disk is full.
    """
    config = config or TokenizeConfig()
    loaded = Tokenizer.load(tokenizer)
    near = workspace(target)
    parts = near.parent / f"{near.name}.work"
    shards = storage.make(
        target,
        functools.partial(_write_shards, documents, loaded, config, num_threads, parts),
        kind=TOKEN_SHARDS_KIND,
        config=to_mapping(config),
        inputs={"documents": documents.digest, "tokenizer": loaded.digest},
    )
    shutil.rmtree(parts, ignore_errors=True)
    return shards


def split_of(doc_id: str, config: TokenizeConfig) -> Literal["train", "validation"]:
    """Return the split of a document: a hash of seed and id, as a fraction, lies below the validation share or not."""
    return "validation" if _drawn(f"{config.seed}:{doc_id}") < config.validation_share else "train"


def _drawn(name: str) -> float:
    """Return a number from 0 to below 1 that depends on the name alone."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") / 2**64


def shuffled(items: Iterable[Item], buffer_size: int, seed: int) -> Iterator[Item]:
    """Yield the items in a random order that is the same for the same seed; at most `buffer_size` are held."""
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


@dataclass(slots=True)
class _Split:
    """One split's writer, and the text bytes of each document in the order written."""

    writer: ShardWriter
    text_bytes: list[int] = field(default_factory=list)

    def write(self, encoded: EncodedDocument) -> None:
        self.writer.write(encoded.doc_id, encoded.source, encoded.token_ids)
        self.text_bytes.append(encoded.text_bytes)


def _write_shards(
    documents: Artifact,
    tokenizer: Tokenizer,
    config: TokenizeConfig,
    num_threads: int,
    parts: Path,
    publication: Publication,
) -> None:
    splits = {split: _Split(_writer(publication.path, tokenizer, config, split)) for split in SPLITS}
    num_broken = 0
    encoded_documents = encode_in_parts(documents, tokenizer, parts, num_threads)
    stream = shuffled(encoded_documents, config.shuffle_buffer, config.seed)
    for encoded in progress.track(stream, "tokenize", total=count_documents(documents), unit="doc"):
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


def _shard_counts(folder: Path, split: _Split) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield documents, tokens and text bytes of every shard file."""
    first = 0
    for name in split.writer.names:
        with pa.memory_map(str(folder / name), "r") as source:
            batch = pa.ipc.open_file(source).get_batch(0)
            num_documents, num_tokens = batch.num_rows, len(batch.column("token_ids").values)
        counted = sum(split.text_bytes[first : first + num_documents])
        yield name, {"documents": num_documents, "tokens": num_tokens, "text_bytes": counted}
        first += num_documents


def _texts_to_learn_from(documents: Artifact, config: TokenizerConfig) -> Iterator[str]:
    """Yield the texts of the drawn documents in order, until `max_text_bytes` are reached; the document that reaches it
    is the last.
    """
    given = 0
    for batch in read_documents(documents, ["doc_id", "text"]):
        for doc_id, text in zip(batch.column("doc_id").to_pylist(), batch.column("text").to_pylist(), strict=True):
            if config.max_text_bytes is not None and given >= config.max_text_bytes:
                return
            if config.sample_share == 1 or _drawn(f"tokenizer:{doc_id}") < config.sample_share:
                given += len(text.encode())
                yield text
