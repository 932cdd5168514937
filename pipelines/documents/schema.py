"""A record's life in Arrow: the document that goes on, the removal that says why it left, the loss that says it never
arrived.

A stage is a frozen dataclass whose fields are its configuration; called on a batch of documents it returns `(kept,
removed)`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

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

LOSS_SCHEMA = pa.schema(
    [
        pa.field("warc_path", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)
"""One record that could not be read: where in which file, a reason from a fixed list, and a sentence."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def is_doc_id(text: str) -> bool:
    """Whether `text` has the form of a document id: a lower-case UUID."""
    return _UUID.fullmatch(text) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Why one document leaves: the rule, what was measured, what was allowed, and which document it repeats."""

    rule: str
    value: float | None = None
    threshold: float | None = None
    duplicate_of: str | None = None


class Stage(Protocol):
    """What the engine runs: pure, picklable, the same output whatever the batch borders."""

    name: ClassVar[str]

    def __call__(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Judge a batch of documents: `(kept documents, removals)`."""
        ...


def split_batch(
    batch: pa.RecordBatch,
    stage: str,
    verdicts: Sequence[Verdict | None],
    columns: Mapping[str, pa.Array] | None = None,
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Divide `batch` by its verdicts: None keeps a document, a `Verdict` removes it.

    `columns` (same length as the batch) are added to the documents, or replace columns of the same name, before the
    division.
    """
    for name, values in (columns or {}).items():
        batch = _with_column(batch, name, values)
    kept = batch.filter(pa.array([verdict is None for verdict in verdicts], pa.bool_()))
    rows = [
        {"doc_id": doc_id, "url": url, "stage": stage, **_verdict_fields(verdict)}
        for doc_id, url, verdict in zip(
            batch.column("doc_id").to_pylist(), batch.column("url").to_pylist(), verdicts, strict=True
        )
        if verdict is not None
    ]
    return kept, pa.RecordBatch.from_pylist(rows, schema=REMOVAL_SCHEMA)


def _verdict_fields(verdict: Verdict) -> dict[str, Any]:
    return {
        "rule": verdict.rule,
        "value": verdict.value,
        "threshold": verdict.threshold,
        "duplicate_of": verdict.duplicate_of,
    }


def _with_column(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    field = pa.field(name, values.type, nullable=values.null_count > 0)
    position = batch.schema.get_field_index(name)
    if position < 0:
        return batch.append_column(field, values)
    return batch.set_column(position, batch.schema.field(position).with_type(values.type), values)
