"""Schemas of documents, removals and losses, and the interface of a curation stage."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa

DOCUMENT_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("crawl", pa.string(), nullable=False),
        pa.field("warc_path", pa.string(), nullable=False),
        pa.field("warc_offset", pa.int64(), nullable=False),
        pa.field("fetched_at", pa.string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
    ]
)
"""`doc_id` is the UUID of the WARC-Record-ID; `fetched_at` is the WARC-Date, ISO 8601 in UTC; `warc_offset` counts
bytes in the stored file."""

REMOVAL_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("duplicate_of", pa.string()),
    ]
)
"""One removed document: the stage and rule that removed it, the measured value, the threshold it failed, and the
document it duplicates."""

EXTRACTION_REMOVAL_SCHEMA = pa.schema(
    [
        *REMOVAL_SCHEMA,
        *(DOCUMENT_SCHEMA.field(name) for name in ("crawl", "warc_path", "warc_offset", "fetched_at")),
        pa.field("words", pa.string()),
    ]
)
"""A page removed at extraction, before it is a document: the removal, the place of the WARC record, and the first words
of a page without main text."""

LOSS_SCHEMA = pa.schema(
    [
        pa.field("warc_path", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)
"""One unreadable record: file, offset, a reason from a fixed list, and a sentence."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def is_doc_id(text: str) -> bool:
    """Return whether `text` has the form of a document id: a lower-case UUID."""
    return _UUID.fullmatch(text) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The verdict that removes a document: rule, measured value, threshold, and the duplicated document."""

    rule: str
    value: float | None = None
    threshold: float | None = None
    duplicate_of: str | None = None


MEASURED = "measured_"
"""Prefix of columns that a stage measures for the next stage only; later stages and readers do not see these
columns.
"""


class Judgement(NamedTuple):
    """A stage's judgement of a batch: the batch with added columns and changed texts, and a verdict for each row, None
    where the document stays.
    """

    documents: pa.RecordBatch
    verdicts: Sequence[Verdict | None]

    @property
    def kept(self) -> pa.BooleanArray:
        """Return whether each document stays."""
        return pa.array([verdict is None for verdict in self.verdicts], pa.bool_())

    def split(self, stage: str) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Return the kept documents, and the removals (`REMOVAL_SCHEMA`) of the others."""
        ids, urls = (self.documents.column(name).to_pylist() for name in ("doc_id", "url"))
        rows = [
            {"doc_id": doc_id, "url": url, "stage": stage, **verdict_fields(verdict)}
            for doc_id, url, verdict in zip(ids, urls, self.verdicts, strict=True)
            if verdict is not None
        ]
        return self.documents.filter(self.kept), pa.RecordBatch.from_pylist(rows, schema=REMOVAL_SCHEMA)


class Stage(ABC):
    """A step of the curation over batches: pure, picklable, the same output whatever the borders of the batches.

    A stage is a frozen dataclass whose fields are its configuration; it defines `name` and `judge`.
    """

    name: ClassVar[str]

    @abstractmethod
    def judge(self, batch: pa.RecordBatch) -> Judgement:
        """Judge every document of a batch."""

    def rules_off(self, language: str) -> tuple[str, ...]:
        """Return the rules that the stage does not apply to documents in `language`, for which it lacks word lists or
        data.
        """
        return ()

    def __call__(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Return the kept documents of a batch, and the removals of the others."""
        return self.judge(batch).split(self.name)


def judged(
    batch: pa.RecordBatch, verdicts: Sequence[Verdict | None], columns: Mapping[str, pa.Array] | None = None
) -> Judgement:
    """Return the judgement of `batch`; `columns` (same length as the batch) are added, `text` is replaced."""
    for name, values in (columns or {}).items():
        batch = _with_column(batch, name, values)
    return Judgement(batch, verdicts)


def verdict_fields(verdict: Verdict | None) -> dict[str, Any]:
    """Return a verdict as the last columns of a table of verdicts; the columns are empty without a verdict."""
    return {name: getattr(verdict, name, None) for name in ("rule", "value", "threshold", "duplicate_of")}


def _with_column(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    field = pa.field(name, values.type, nullable=values.null_count > 0)
    position = batch.schema.get_field_index(name)
    if position < 0:
        return batch.append_column(field, values)
    return batch.set_column(position, batch.schema.field(position).with_type(values.type), values)
