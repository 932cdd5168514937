"""Tables of verdicts: one row for each judged document, and the changed texts.

    verdicts.parquet   doc_id, kept, the columns that the stage added, rule, value, threshold, duplicate_of
    texts.parquet      row, doc_id, text: of the documents whose text the stage changed; absent where it changed none

Rows have the order of the incoming documents. `summary["sources"]` names the source artifacts of the documents by
relative path, with their digests. `pipelines.documents.view` reads verdicts and sources together.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lm.errors import IntegrityError
from lm.storage import Artifact
from pipelines.documents.schema import Judgement, Verdict, verdict_fields
from pipelines.documents.tables import TEXTS, VERDICTS, TableWriter, stored_schema

TEXT_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
    ]
)
"""A changed text, and the row of its document among the incoming documents."""

_FIRST = (pa.field("doc_id", pa.string(), nullable=False), pa.field("kept", pa.bool_(), nullable=False))
_LAST = (
    pa.field("rule", pa.string()),
    pa.field("value", pa.float64()),
    pa.field("threshold", pa.float64()),
    pa.field("duplicate_of", pa.string()),
)
RESERVED = tuple(field.name for field in (*_FIRST, *_LAST))
"""The columns of `verdicts.parquet` that every stage has."""


class TextWriter:
    """Streaming writer of changed texts into `texts.parquet`, created with the first text. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / TEXTS
        self._stack = ExitStack()
        self._table: TableWriter | None = None

    def write(
        self, first: int, before: pa.RecordBatch, texts: pa.LargeStringArray, among: pa.BooleanArray | None = None
    ) -> None:
        """Add the `texts` (`among` some) that differ from the texts of `before`, whose first row is `first`."""
        differs = pc.not_equal(before.column("text"), texts)
        changed = pc.indices_nonzero(differs if among is None else pc.and_(differs, among)).cast(pa.int64())
        if len(changed) == 0:
            return
        if self._table is None:
            self._table = self._stack.enter_context(TableWriter(self._path, TEXT_SCHEMA))
        columns = [pc.add(changed, first), before.column("doc_id").take(changed), texts.take(changed)]
        self._table.write(pa.RecordBatch.from_arrays(columns, schema=TEXT_SCHEMA))

    def __enter__(self) -> TextWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)


class VerdictWriter(ExitStack):
    """Streaming writer of a stage's verdicts. A context manager.

    `schema` has the columns of the incoming documents, `judged` the columns of the documents that the stage returns.
    """

    def __init__(self, folder: Path, schema: pa.Schema, judged: pa.Schema) -> None:
        super().__init__()
        self._added = [field for field in stored_schema(judged) if field.name not in schema.names]
        clash = sorted({field.name for field in self._added} & set(RESERVED))
        if clash:
            raise IntegrityError(f"a stage adds the column '{clash[0]}', which every table of verdicts has")
        self._schema = pa.schema([*_FIRST, *self._added, *_LAST])
        self._verdicts = self.enter_context(TableWriter(folder / VERDICTS, self._schema))
        self._texts = self.enter_context(TextWriter(folder))

    def write(self, batch: pa.RecordBatch, judgement: Judgement) -> None:
        """Add the verdicts on a batch of documents.

        Raises:
            IntegrityError: the stage lost, doubled or reordered documents, or replaced a column other than the text.
        """
        documents, verdicts = judgement
        _check(batch, documents, len(verdicts), [field.name for field in self._added])
        columns = [
            batch.column("doc_id"),
            judgement.kept,
            *(documents.column(field.name).cast(field.type) for field in self._added),
            *_last_columns(verdicts),
        ]
        first = self._verdicts.num_rows
        self._verdicts.write(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        self._texts.write(first, batch, documents.column("text"), judgement.kept)


def _last_columns(verdicts: Sequence[Verdict | None]) -> list[pa.Array]:
    if not any(verdicts):  # as in most batches
        return [pa.nulls(len(verdicts), field.type) for field in _LAST]
    return list(pa.RecordBatch.from_pylist(list(map(verdict_fields, verdicts)), schema=pa.schema(_LAST)).columns)


def sources_of(target: Path, sources: Sequence[Artifact]) -> list[dict[str, str]]:
    """Return the `summary["sources"]` of an artifact at `target`: each source's relative path and digest."""
    return [
        {"path": posixpath.relpath(source.path.as_posix(), target.as_posix()), "digest": source.digest}
        for source in sources
    ]


def _check(batch: pa.RecordBatch, documents: pa.RecordBatch, num_verdicts: int, added: Sequence[str]) -> None:
    expected, found = {*batch.schema.names, *added}, set(documents.schema.names)
    if expected != found:
        raise IntegrityError(
            f"a stage returned the unexpected columns {sorted(found - expected)} and omitted the columns "
            f"{sorted(expected - found)}"
        )
    if not batch.num_rows == documents.num_rows == num_verdicts:
        raise IntegrityError(
            f"{batch.num_rows:,} documents in, but {documents.num_rows:,} judged by {num_verdicts:,} verdicts"
        )
    for name in batch.schema.names:
        if name != "text" and not documents.column(name).equals(batch.column(name)):
            raise IntegrityError(f"column '{name}': a stage may replace only the text")
