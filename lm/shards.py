"""Token shards: documents as rows of token ids in memory-mapped Arrow files.

A shard is one Arrow IPC file, uncompressed, with one record batch: `doc_id`, `source`, `token_ids:
list<uint16|uint32>`. Each row ends with the end-of-text id, so the values of the list column, one after the other,
are the training stream; they are mapped, never copied. The schema's metadata carries the tokenizer's digest, the
vocabulary size and the end-of-text id.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lm.errors import ConfigurationError, InputError, IntegrityError
from lm.storage import Artifact, open_artifact

_METADATA_KEY = b"loam.tokens"
TokenArray = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class TokenMetadata:
    """The metadata of a shard: the tokenizer that its ids come from."""

    tokenizer_digest: str
    vocab_size: int
    end_of_text_id: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned integer type for every id of the vocabulary."""
        return np.dtype(np.uint16 if self.vocab_size <= 2**16 else np.uint32)


class ShardWriter:
    """A writer of documents into `PREFIX-NNNNN.arrow` files of at most `max_tokens_per_shard` tokens each.

    A longer document gets its own file. Use the writer as a context manager. Memory holds one shard.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tokenizer_digest: str,
        vocab_size: int,
        end_of_text_id: int,
        prefix: str = "train",
        max_tokens_per_shard: int = 2**24,
    ) -> None:
        if not 0 <= end_of_text_id < vocab_size:
            raise ConfigurationError(f"end_of_text_id: {end_of_text_id}, expected 0 to {vocab_size - 1}")
        if max_tokens_per_shard < 1:
            raise ConfigurationError(f"max_tokens_per_shard: {max_tokens_per_shard}, expected 1 or more")
        self.metadata = TokenMetadata(tokenizer_digest, vocab_size, end_of_text_id)
        self.names: list[str] = []
        self.num_documents = 0
        self.num_tokens = 0
        self._folder = folder
        self._prefix = prefix
        self._max_tokens = max_tokens_per_shard
        self._rows: list[tuple[str, str, npt.NDArray[Any]]] = []
        self._num_waiting = 0

    def write(self, doc_id: str, source: str, token_ids: npt.ArrayLike) -> None:
        """Add one document and append the end-of-text id to it.

        Raises:
            InputError: an id is not in the vocabulary.
        """
        ids = np.asarray(token_ids, dtype=np.int64)
        if ids.size and (ids.min() < 0 or ids.max() >= self.metadata.vocab_size):
            wrong = ids[(ids < 0) | (ids >= self.metadata.vocab_size)][0]
            raise InputError(f"document {doc_id}: token id {wrong}, expected 0 to {self.metadata.vocab_size - 1}")
        row = np.append(ids, self.metadata.end_of_text_id).astype(self.metadata.dtype)
        if self._rows and self._num_waiting + row.size > self._max_tokens:
            self._flush()
        self._rows.append((doc_id, source, row))
        self._num_waiting += row.size
        self.num_documents += 1
        self.num_tokens += row.size

    def close(self) -> None:
        """Write the last shard. A split without documents gets one empty file, so that it can be opened."""
        if self._rows or not self.names:
            self._flush()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    def _flush(self) -> None:
        name = f"{self._prefix}-{len(self.names):05d}.arrow"
        rows = [row for _, _, row in self._rows]
        values = np.concatenate(rows) if rows else np.empty(0, self.metadata.dtype)
        offsets = np.cumsum([0, *(row.size for row in rows)], dtype=np.int64)
        token_ids = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values))
        schema = _schema(self.metadata)
        batch = pa.record_batch(
            [
                pa.array([doc_id for doc_id, _, _ in self._rows], pa.string()),
                pa.array([source for _, source, _ in self._rows], pa.string()),
                token_ids,
            ],
            schema=schema,
        )
        with pa.OSFile(str(self._folder / name), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(batch)
        self.names.append(name)
        self._rows, self._num_waiting = [], 0


@dataclass(frozen=True, slots=True)
class Shard:
    """A memory-mapped shard: `tokens` are its concatenated rows, `offsets[i]:offsets[i + 1]` is the span of row `i`."""

    path: Path
    tokens: TokenArray
    offsets: npt.NDArray[np.int64]
    doc_ids: pa.StringArray = field(repr=False)
    sources: pa.StringArray = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenShards:
    """The shards of one split, verified and memory-mapped."""

    metadata: TokenMetadata
    shards: tuple[Shard, ...]

    @classmethod
    def open(
        cls, artifact: Artifact | Path | str, split: str = "train", tokenizer_digest: str | None = None
    ) -> TokenShards:
        """Open and memory-map the shards `SPLIT-*.arrow` of an artifact.

        Raises:
            InputError: the artifact has no such split, or its ids are not of the tokenizer `tokenizer_digest`.
            IntegrityError: a shard's bytes differ from the manifest's, or its tokenizer from another shard's.
        """
        opened = artifact if isinstance(artifact, Artifact) else open_artifact(artifact)
        names = opened.names(f"{split}-*.arrow")
        if not names:
            raise InputError(
                f"{opened.path}: has no '{split}' shards; it has {', '.join(opened.names()) or 'no files'}"
            )
        mapped = [_map_shard(opened.file(name)) for name in names]
        metadata = mapped[0][0]
        for other, shard in mapped:
            if other != metadata:
                raise IntegrityError(f"{shard.path}: made with {other}, the first shard with {metadata}")
        if tokenizer_digest is not None and metadata.tokenizer_digest != tokenizer_digest:
            raise InputError(
                f"{opened.path}: ids come from tokenizer {metadata.tokenizer_digest}, expected {tokenizer_digest}"
            )
        return cls(metadata, tuple(shard for _, shard in mapped))

    @property
    def vocab_size(self) -> int:
        """The vocabulary size of the tokenizer."""
        return self.metadata.vocab_size

    @property
    def end_of_text_id(self) -> int:
        """The id at the end of every document."""
        return self.metadata.end_of_text_id

    @property
    def num_tokens(self) -> int:
        """The number of tokens, end-of-text ids included."""
        return sum(shard.tokens.size for shard in self.shards)

    @property
    def num_documents(self) -> int:
        """The number of rows."""
        return sum(shard.offsets.size - 1 for shard in self.shards)

    def doc_id(self, shard: int, row: int) -> str:
        """Return the document id of one row."""
        return str(self.shards[shard].doc_ids[row].as_py())

    def source(self, shard: int, row: int) -> str:
        """Return the source of one row."""
        return str(self.shards[shard].sources[row].as_py())

    def document(self, shard: int, row: int) -> TokenArray:
        """Return the ids of one row with its end-of-text id, as a view of the mapped file."""
        held = self.shards[shard]
        return held.tokens[held.offsets[row] : held.offsets[row + 1]]


def _schema(metadata: TokenMetadata) -> pa.Schema:
    value = pa.uint16() if metadata.dtype == np.uint16 else pa.uint32()
    facts = {
        "tokenizer_digest": metadata.tokenizer_digest,
        "vocab_size": metadata.vocab_size,
        "end_of_text_id": metadata.end_of_text_id,
    }
    return pa.schema(
        [
            pa.field("doc_id", pa.string()),
            pa.field("source", pa.string()),
            pa.field("token_ids", pa.large_list(value)),
        ],
        metadata={_METADATA_KEY: json.dumps(facts, sort_keys=True).encode()},
    )


def _map_shard(path: Path) -> tuple[TokenMetadata, Shard]:
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path), "r"))
        facts = json.loads((reader.schema.metadata or {})[_METADATA_KEY])
        batch = reader.get_batch(0)
        rows = batch.column("token_ids")
    except (pa.ArrowInvalid, KeyError, ValueError) as error:
        raise InputError(f"{path}: not a token shard ({error})") from None
    offsets = rows.offsets.to_numpy(zero_copy_only=True)
    tokens = rows.values.to_numpy(zero_copy_only=True)
    shard = Shard(path, tokens, offsets, batch.column("doc_id"), batch.column("source"))
    return TokenMetadata(**facts), shard
