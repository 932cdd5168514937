"""Which documents leave as duplicates of which, and the groups that they formed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.clusters import Indices, choose_winners
from pipelines.document import Verdict
from pipelines.signature_table import SignatureTable

CLUSTER_SCHEMA = pa.schema(
    [
        pa.field("cluster_id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("jaccard", pa.float64()),
        pa.field("winner", pa.bool_(), nullable=False),
    ]
)
"""One member of one group that one rule found; `cluster_id` is the doc_id of the group's winner, `jaccard` the index
with it."""


@dataclass(slots=True)
class DuplicateVerdicts:
    """Verdicts over the documents of `table`, rule by rule; `positions` rank them, 0 for the best.

    `of` holds the verdict of every document that leaves, by its index.
    """

    table: SignatureTable
    positions: Indices
    of: dict[int, Verdict] = field(default_factory=dict)
    _winners: dict[int, int] = field(default_factory=dict)
    _num_groups: Counter[str] = field(default_factory=Counter)
    _largest_group: int = 0

    @property
    def num_documents(self) -> int:
        """All documents, those that leave included."""
        return len(self.table.doc_ids)

    def alive(self) -> Indices:
        """The documents that no rule has removed so far, in order."""
        mask = np.ones(self.num_documents, np.bool_)
        mask[list(self.of)] = False
        return np.flatnonzero(mask)

    def decide(
        self,
        rule: str,
        members: Indices,
        labels: Indices,
        *,
        value: Callable[[int, int], float] | None = None,
        threshold: float | None = None,
    ) -> None:
        """Keep the best of every group of `members` and remove the others by `rule`.

        `labels[i]` is the place within `members` of a member of the same group as `members[i]`; `value(loser, winner)`
        is what was measured.
        """
        _, sizes = np.unique(labels, return_counts=True)
        self._num_groups[rule] = int((sizes > 1).sum())
        self._largest_group = max(self._largest_group, int(sizes.max(initial=0)))
        winners = members[choose_winners(labels, self.positions[members])]
        for loser, winner in zip(members.tolist(), winners.tolist(), strict=True):
            if loser != winner:
                measured = value(loser, winner) if value else None
                winner_id = self.table.doc_ids[winner]
                self.of[loser] = Verdict(rule=rule, value=measured, threshold=threshold, duplicate_of=winner_id)
                self._winners[loser] = winner

    def members(self) -> Iterator[dict[str, Any]]:
        """The rows of `CLUSTER_SCHEMA`: every group's winner, then those that lost to it; groups in the order of their
        winners."""
        groups: dict[tuple[int, str], list[int]] = {}
        for loser, winner in sorted(self._winners.items()):
            groups.setdefault((winner, self.of[loser].rule), []).append(loser)
        for (winner, rule), losers in sorted(groups.items()):
            yield self._member(winner, winner, rule)
            for loser in losers:
                yield self._member(winner, loser, rule)

    def summary(self) -> dict[str, Any]:
        """Counts for a manifest: groups of more than one by rule, and the size of the largest."""
        return {"num_clusters": dict(sorted(self._num_groups.items())), "largest_cluster": self._largest_group}

    def _member(self, winner: int, index: int, rule: str) -> dict[str, Any]:
        return {
            "cluster_id": self.table.doc_ids[winner],
            "doc_id": self.table.doc_ids[index],
            "url": self.table.urls[index],
            "rule": rule,
            "jaccard": None if index == winner else self.of[index].value,
            "winner": index == winner,
        }
