"""The ground truth: one row for every page in `truth.parquet`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pipelines.demo_crawl.body import Body
from pipelines.demo_crawl.pages import Page

TRUTH_SCHEMA = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("warc_file", pa.string(), nullable=False),
        pa.field("world", pa.string(), nullable=False),
        pa.field("body_text", pa.large_string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("quality", pa.string(), nullable=False),
        pa.field("harmful", pa.list_(pa.string()), nullable=False),
        pa.field(
            "pii",
            pa.list_(
                pa.struct([("kind", pa.string()), ("text", pa.string()), ("start", pa.int32()), ("end", pa.int32())])
            ),
            nullable=False,
        ),
        pa.field("duplicate_cluster", pa.string()),
        pa.field("duplicate_kind", pa.string()),
        pa.field("jaccard", pa.float64()),
        pa.field("damage", pa.string(), nullable=False),
    ]
)
"""`body_text` is the title and a line for each paragraph, heading and list item; `start` and `end` of personal data
count characters in it. A cluster is an original (`duplicate_kind` null, `jaccard` 1) and its copies; `jaccard` is of
the sets of five-word shingles, with the original's. `damage` is none, or one of `plan.DAMAGE_SHARES` or truncated."""


def truth_row(page: Page, warc_file: str) -> dict[str, Any]:
    """Return the row of a page."""
    body = page.body
    return {
        "url": page.url,
        "doc_id": page.doc_id,
        "warc_file": warc_file,
        "world": page.world,
        "body_text": body.text,
        "language": body.language,
        "quality": body.quality,
        "harmful": list(body.harmful),
        "pii": pii_spans(body),
        "duplicate_cluster": page.cluster,
        "duplicate_kind": page.duplicate_kind,
        "jaccard": page.jaccard,
        "damage": page.damage,
    }


def pii_spans(body: Body) -> list[Mapping[str, Any]]:
    """Return the span of each piece of personal data in the body's text, in order."""
    text, spans = body.text, []
    for datum in body.pii:
        start = text.find(datum.text)
        while start >= 0:
            spans.append({"kind": datum.kind, "text": datum.text, "start": start, "end": start + len(datum.text)})
            start = text.find(datum.text, start + len(datum.text))
    return sorted(spans, key=lambda span: (span["start"], span["end"]))
