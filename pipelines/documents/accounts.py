"""The accounts of a partition (documents in, kept, removed, lost), and the writer of its tables.

For every stage: in = kept + removed + lost.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from lm.errors import IntegrityError
from pipelines.documents.schema import REMOVAL_SCHEMA, Judgement
from pipelines.documents.tables import DOCUMENTS, REMOVALS, TableWriter, stored_schema, text_bytes

DOCUMENTS_KIND = "documents"
"""The kind of every artifact that holds documents."""


@dataclass(slots=True)
class Counts:
    """Counts of one partition in one stage: documents in, kept, removed and lost."""

    num_in: int = 0
    num_kept: int = 0
    text_bytes_in: int = 0
    text_bytes_kept: int = 0
    removed_by_rule: Counter[str] = field(default_factory=Counter)
    lost_by_reason: Counter[str] = field(default_factory=Counter)

    @property
    def num_removed(self) -> int:
        """Return the number of removals under all rules."""
        return self.removed_by_rule.total()

    @property
    def num_lost(self) -> int:
        """Return the number of losses for all reasons."""
        return self.lost_by_reason.total()

    def judge(self, batch: pa.RecordBatch, judgement: Judgement) -> None:
        """Count a batch and the stage's verdicts on the batch."""
        kept = judgement.kept
        self.num_in += batch.num_rows
        self.text_bytes_in += text_bytes(batch)
        self.num_kept += kept.true_count
        self.text_bytes_kept += text_bytes(judgement.documents, kept)
        self.removed_by_rule.update(verdict.rule for verdict in judgement.verdicts if verdict is not None)

    def keep(self, documents: pa.RecordBatch) -> None:
        """Count kept documents."""
        self.num_kept += documents.num_rows
        self.text_bytes_kept += text_bytes(documents)

    def remove(self, removals: pa.RecordBatch) -> None:
        """Count removals by rule."""
        self.removed_by_rule.update(removals.column("rule").to_pylist())

    def lose(self, losses: pa.RecordBatch) -> None:
        """Count losses by reason."""
        self.lost_by_reason.update(losses.column("reason").to_pylist())

    def summary(self, stage: str) -> dict[str, Any]:
        """Return the counts for a manifest.

        Raises:
            IntegrityError: in ≠ kept + removed + lost: the stage added or dropped documents.
        """
        if self.num_in != self.num_kept + self.num_removed + self.num_lost:
            raise IntegrityError(
                f"stage '{stage}': {self.num_in:,} documents in, but {self.num_kept:,} kept, "
                f"{self.num_removed:,} removed and {self.num_lost:,} lost"
            )
        return {
            "stage": stage,
            "num_in": self.num_in,
            "num_kept": self.num_kept,
            "num_removed": self.num_removed,
            "num_lost": self.num_lost,
            "text_bytes_in": self.text_bytes_in,
            "text_bytes_kept": self.text_bytes_kept,
            "removed_by_rule": dict(sorted(self.removed_by_rule.items())),
            "lost_by_reason": dict(sorted(self.lost_by_reason.items())),
        }


class PartitionWriter(ExitStack):
    """Streaming writer of one partition's documents and removals. A context manager."""

    def __init__(self, folder: Path, schema: pa.Schema, removals: pa.Schema = REMOVAL_SCHEMA) -> None:
        super().__init__()
        self._documents = self.enter_context(TableWriter(folder / DOCUMENTS, stored_schema(schema)))
        self._removals = self.enter_context(TableWriter(folder / REMOVALS, removals))

    def write(self, kept: pa.RecordBatch, removed: pa.RecordBatch) -> None:
        """Add one batch of each."""
        self._documents.write(kept)
        self._removals.write(removed)
