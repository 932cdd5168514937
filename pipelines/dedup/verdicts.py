"""Duplicate verdicts: removed documents, the document that each duplicates, and the groups of duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.dedup.clusters import Indices, choose_winners
from pipelines.dedup.index import DocumentIndex
from pipelines.documents.schema import Verdict

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
"""One member of one group of one rule; `cluster_id` is the doc_id of the group's winner, `jaccard` the Jaccard index
with the winner.
"""

_ROWS_PER_BATCH = 8192


@dataclass(slots=True)
class DuplicateVerdicts:
    """Verdicts over the documents of `index`, rule by rule; `positions` rank them, 0 for the best.

    Memory: 17 bytes per document.
    """

    index: DocumentIndex
    positions: Indices
    _rules: list[tuple[str, float | None]] = field(default_factory=list)
    _rule: npt.NDArray[np.int8] = field(init=False)
    _winner: Indices = field(init=False)
    _value: npt.NDArray[np.float64] = field(init=False)
    _sizes: dict[str, Counter[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rule = np.full(self.num_documents, -1, np.int8)
        self._winner = np.full(self.num_documents, -1, np.int64)
        self._value = np.full(self.num_documents, np.nan)

    @property
    def num_documents(self) -> int:
        """Return all documents, removed documents included."""
        return len(self.index.doc_ids)

    def alive(self) -> Indices:
        """Return the documents that no rule has removed so far, in order."""
        return np.flatnonzero(self._winner < 0)

    def decide(
        self,
        rule: str,
        members: Indices,
        labels: Indices,
        *,
        value: Callable[[Indices, Indices], npt.NDArray[np.float64]] | None = None,
        threshold: float | None = None,
    ) -> None:
        """Keep the best of every group of `members` and remove the others by `rule`.

        `labels[i]` is the place within `members` of a member of the same group as `members[i]`; `value(losers,
        winners)` is the measured value of each pair.
        """
        sizes = np.bincount(labels) if labels.size else np.zeros(0, np.int64)
        self._sizes[rule] = Counter(dict(zip(*map(np.ndarray.tolist, np.unique_counts(sizes[sizes > 1])), strict=True)))
        winners = members[choose_winners(labels, self.positions[members])]
        lost = members != winners
        losers = members[lost]
        self._rule[losers] = len(self._rules)
        self._winner[losers] = winners[lost]
        if value is not None:
            self._value[losers] = value(losers, winners[lost])
        self._rules.append((rule, threshold))

    def verdicts(self, first: int, count: int) -> list[Verdict | None]:
        """Return the verdict of each of the documents `first` to `first + count`; None for a kept document."""
        found: list[Verdict | None] = [None] * count
        for row in np.flatnonzero(self._winner[first : first + count] >= 0).tolist():
            rule, threshold = self._rules[self._rule[first + row]]
            value, winner = float(self._value[first + row]), int(self._winner[first + row])
            found[row] = Verdict(
                rule=rule,
                value=None if np.isnan(value) else value,
                threshold=threshold,
                duplicate_of=self.index.doc_ids[winner].as_py(),
            )
        return found

    def members(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows of `CLUSTER_SCHEMA`: every group's winner, then its losers; groups in the order of their
        winners and the names of their rules.
        """
        by_name = np.argsort(np.argsort([name for name, _ in self._rules])).astype(np.int8)
        losers = np.flatnonzero(self._winner >= 0)
        rules = self._rule[losers]
        order = np.lexsort((losers, by_name[rules], self._winner[losers]))
        losers, rules = losers[order], rules[order]
        for begin in range(0, losers.size, _ROWS_PER_BATCH):
            yield self._rows(losers[begin : begin + _ROWS_PER_BATCH], begin, losers, rules)

    def _rows(self, part: Indices, begin: int, losers: Indices, rules: npt.NDArray[np.int8]) -> pa.RecordBatch:
        """Return the rows of some losers, each group's winner before its first loser."""
        winners, here = self._winner[part], rules[begin : begin + part.size]
        before = self._winner[losers[begin - 1]] if begin else -1
        rule_before = rules[begin - 1] if begin else -1
        begins = (winners != np.append(before, winners[:-1])) | (here != np.append(rule_before, here[:-1]))
        repeats = 1 + begins.astype(np.int64)
        rows = np.repeat(np.arange(part.size), repeats)
        is_winner = np.zeros(rows.size, np.bool_)
        is_winner[(np.cumsum(repeats) - repeats)[begins]] = True
        who = np.where(is_winner, winners[rows], part[rows])
        values = np.where(is_winner, np.nan, self._value[part][rows])
        names = [self._rules[number][0] for number in here[rows].tolist()]
        columns = [
            self._taken(self.index.doc_ids, winners[rows]),
            self._taken(self.index.doc_ids, who),
            self._taken(self.index.urls, who),
            pa.array(names, pa.string()),
            pa.array(values, mask=np.isnan(values)),
            pa.array(is_winner),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=CLUSTER_SCHEMA)

    def summary(self) -> dict[str, Any]:
        """Return counts for a manifest: groups of more than one document by rule, groups by size, the largest size.

        `cluster_sizes` maps a rule to the number of its groups by size, in powers of two: `"2"`, `"3-4"`, `"5-8"`, …
        """
        return {
            "num_clusters": {rule: self._sizes[rule].total() for rule in sorted(self._sizes)},
            "cluster_sizes": {rule: _histogram(self._sizes[rule]) for rule in sorted(self._sizes)},
            "largest_cluster": max((max(sizes, default=0) for sizes in self._sizes.values()), default=0)
            or int(self.num_documents > 0),
        }

    def _taken(self, column: pa.ChunkedArray, rows: Indices) -> pa.Array:
        return column.take(pa.array(rows)).combine_chunks()


def _histogram(sizes: Counter[int]) -> dict[str, int]:
    """Return the number of groups by size, in powers of two."""
    found: Counter[int] = Counter()
    for size, count in sizes.items():
        found[(size - 1).bit_length()] += count
    return {_range(bits): found[bits] for bits in sorted(found)}


def _range(bits: int) -> str:
    low, high = 2 ** (bits - 1) + 1, 2**bits
    return str(high) if low == high else f"{low}-{high}"
