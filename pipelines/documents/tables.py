"""Streaming Parquet files: the same rows give the same bytes.

Row groups are bounded by count and by bytes, so a file of many small batches reads fast and a file of long documents
stays within memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lm.storage import Artifact
from pipelines.documents.schema import DOCUMENT_SCHEMA

DOCUMENTS, REMOVALS, LOSSES, CLUSTERS = "documents.parquet", "removals.parquet", "losses.parquet", "clusters.parquet"
VERDICTS, TEXTS = "verdicts.parquet", "texts.parquet"

_ROWS_PER_GROUP = 4096
_BYTES_PER_GROUP = 64 * 2**20
_BATCH_ROWS = 512
_DICTIONARY_COLUMNS = ("crawl", "warc_path", "language", "stage", "rule", "reason")


def stored_schema(schema: pa.Schema) -> pa.Schema:
    """Return `schema` with the contract's types and nullable verdict columns, so that the values of a batch do not
    change the file's types.
    """
    known = {field.name: field for field in DOCUMENT_SCHEMA}
    return pa.schema([known.get(field.name, field.with_nullable(True)) for field in schema])


class TableWriter:
    """Streaming writer of record batches into one Parquet file (zstd). A context manager; `num_rows` counts written
    rows.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.num_rows = 0
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        dictionary = [name for name in schema.names if name in _DICTIONARY_COLUMNS]
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=dictionary)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        if batch.num_rows == 0:
            return
        self._waiting.append(batch.cast(self._schema))
        self.num_rows += batch.num_rows
        if _fill_a_row_group(self._waiting):
            self._flush()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting, self._schema)
            self._writer.write_table(table, row_group_size=table.num_rows)
            self._waiting = []


@dataclass(slots=True)
class _Held:
    """Decoded tables, by path (which names the version of the files), and the bytes that others may still take."""

    num_bytes_left: int
    tables: dict[Path, list[pa.RecordBatch]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, key: Path, batches: list[pa.RecordBatch]) -> None:
        """Keep a table, unless another thread has kept it or taken the bytes meanwhile."""
        num_bytes = sum(batch.nbytes for batch in batches)
        with self._lock:
            if key not in self.tables and num_bytes <= self.num_bytes_left:
                self.num_bytes_left -= num_bytes
                self.tables[key] = batches


_held: ContextVar[_Held | None] = ContextVar("held", default=None)


@contextmanager
def tables_in_memory(max_bytes: int) -> Iterator[None]:
    """Keep decoded tables within the block: each that `read_rows` reads, `max_bytes` of them together at most.

    For steps that read the same documents one after the other: a table is checked and decoded once, not at each step.
    """
    token = _held.set(_Held(max_bytes))
    try:
        yield
    finally:
        _held.reset(token)


def read_rows(artifact: Artifact, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one table of an artifact, in order, a batch at a time; the file's sha256 is checked first."""
    held, key = _held.get(), artifact.folder / name
    batches = None if held is None else held.tables.get(key)
    if batches is None:
        with pq.ParquetFile(artifact.file(name)) as file:
            batches = None if held is None else _decoded(file, held.num_bytes_left)
            if held is None or batches is None:
                yield from file.iter_batches(batch_size=_BATCH_ROWS, columns=columns)
                return
        held.keep(key, batches)
    for batch in batches:
        yield batch if columns is None else batch.select(list(columns))


def _decoded(file: pq.ParquetFile, max_bytes: int) -> list[pa.RecordBatch] | None:
    """Return the batches of a table; None where they take more than `max_bytes` decoded."""
    groups = (file.metadata.row_group(number) for number in range(file.num_row_groups))
    if sum(group.total_byte_size for group in groups) > max_bytes:
        return None  # before anything is decoded
    batches, num_bytes = list[pa.RecordBatch](), 0
    for batch in file.iter_batches(batch_size=_BATCH_ROWS):
        num_bytes += batch.nbytes  # a dictionary's values are written out, so this is more than the file says
        if num_bytes > max_bytes:
            return None
        batches.append(batch)
    return batches


def in_row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield the batches gathered into tables of the size of a row group."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if _fill_a_row_group(waiting):
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _fill_a_row_group(batches: Sequence[pa.RecordBatch]) -> bool:
    num_rows, num_bytes = sum(batch.num_rows for batch in batches), sum(batch.nbytes for batch in batches)
    return num_rows >= _ROWS_PER_GROUP or num_bytes >= _BYTES_PER_GROUP


def text_bytes(batch: pa.RecordBatch, among: pa.BooleanArray | None = None) -> int:
    """Return the number of UTF-8 bytes of the texts of a batch, of all or of some."""
    lengths = pc.binary_length(batch.column("text"))
    return int(pc.sum(lengths if among is None else lengths.filter(among)).as_py() or 0)
