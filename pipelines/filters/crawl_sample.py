"""Random sample of a partition's documents for choosing thresholds, independent of their order."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

from lm.storage import Artifact
from pipelines.dedup.exact import hash_text
from pipelines.documents.view import read_documents, read_schema

SAMPLE_DOCUMENTS = 10_000
"""Documents of a sample: a share of one in a hundred is then known to a tenth of itself."""


def sample_documents(
    documents: Artifact, columns: Sequence[str] = ("text",), most: int = SAMPLE_DOCUMENTS
) -> list[dict[str, Any]]:
    """Return the `most` documents with the lowest hashes of their ids, with those of the `columns` that are there."""
    there = [name for name in columns if name in read_schema(documents).names]

    def rows() -> Iterator[tuple[int, str, dict[str, Any]]]:
        for batch in read_documents(documents, ["doc_id", *there]):
            for row in batch.to_pylist():
                doc_id = str(row.pop("doc_id"))
                yield hash_text(doc_id), doc_id, row

    return [row for _, _, row in heapq.nsmallest(most, rows(), key=lambda found: found[:2])]
