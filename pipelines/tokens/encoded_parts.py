"""Encoded parts of a corpus: finished parts are kept, so an interrupted run resumes with the next part.

A part is some thousand documents of the corpus (or 64 MiB of text), an artifact of its own in a work
folder: `encoded.arrow`, memory-mapped. The reader of all parts deletes the folder.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lm import storage
from lm.shards import TokenArray
from lm.storage import Artifact, Publication
from lm.tokenizer import Tokenizer
from pipelines.documents.tables import in_row_groups
from pipelines.documents.view import read_documents

_FILE = "encoded.arrow"
_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("token_ids", pa.large_list(pa.uint32())),
        pa.field("text_bytes", pa.int64()),
        pa.field("survives", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class EncodedDocument:
    """A document's ids, without end-of-text; whether they decode to its text again."""

    doc_id: str
    source: str
    token_ids: TokenArray
    text_bytes: int
    survives: bool


def encode_in_parts(
    documents: Artifact, tokenizer: Tokenizer, work: Path, num_threads: int = 1
) -> Iterator[EncodedDocument]:
    """Yield the documents in their order, encoded; parts that are whole in `work` are not encoded again."""
    for part, table in enumerate(in_row_groups(read_documents(documents, ["doc_id", "crawl", "text"]))):
        artifact = storage.make(
            work / f"part-{part:05d}",
            functools.partial(_write_part, table, tokenizer, num_threads),
            kind="encoded_documents",
            config={"part": part},
            inputs={"documents": documents.digest, "tokenizer": tokenizer.digest},
        )
        yield from _read_part(artifact)


def _write_part(table: pa.Table, tokenizer: Tokenizer, num_threads: int, publication: Publication) -> None:
    columns = table.to_pydict()
    arrays = tokenizer.encode_batch(columns["text"], num_threads)
    texts = [text.encode() for text in columns["text"]]
    survives = [tokenizer.decode_bytes(ids) == text for ids, text in zip(arrays, texts, strict=True)]
    batch = pa.record_batch(
        [
            pa.array(columns["doc_id"], pa.string()),
            pa.array(columns["crawl"], pa.string()),
            _list_array(arrays),
            pa.array([len(text) for text in texts], pa.int64()),
            pa.array(survives, pa.bool_()),
        ],
        schema=_SCHEMA,
    )
    with pa.OSFile(str(publication.path / _FILE), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
        writer.write_batch(batch)


def _list_array(arrays: list[npt.NDArray[Any]]) -> pa.LargeListArray:
    offsets = np.cumsum([0, *(ids.size for ids in arrays)], dtype=np.int64)
    values = np.concatenate([np.empty(0, np.uint32), *arrays])
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values))


def _read_part(artifact: Artifact) -> Iterator[EncodedDocument]:
    with pa.memory_map(str(artifact.file(_FILE)), "r") as source:
        batch = pa.ipc.open_file(source).get_batch(0)
    rows = batch.column("token_ids")
    offsets, ids = rows.offsets.to_numpy(), rows.values.to_numpy()
    columns = (batch.column(name).to_pylist() for name in ("doc_id", "source", "text_bytes", "survives"))
    for row, (doc_id, source_name, text_bytes, survives) in enumerate(zip(*columns, strict=True)):
        yield EncodedDocument(doc_id, source_name, ids[offsets[row] : offsets[row + 1]], text_bytes, survives)
