"""Clusters of duplicates: connected components, and the winner of each.

Decisions: a component is labelled by its smallest member, and its winner is chosen by properties of the documents.
Neither depends on the order of the edges. The winner has the highest quality score, then the greatest length, then the
smallest doc_id. With a seed, a hash of seed and doc_id decides: a random choice that does not depend on the order of
documents. Two documents of a component may be linked only through a third.

Memory: 24 bytes per document and 16 per edge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """The properties that rank documents of a cluster, one entry a document: higher quality first, then greater length,
    then the smaller id. A missing quality is NaN and ranks last.
    """

    doc_ids: Sequence[str] | pa.Array | pa.ChunkedArray
    lengths: npt.NDArray[np.int64]
    qualities: npt.NDArray[np.float64]

    def positions(self, seed: int | None = None) -> Indices:
        """Return the rank of each document, 0 for the best; the ranking is random where `seed` is given. Documents with
        equal properties keep their order.
        """
        ids: Any = self.doc_ids
        if not isinstance(ids, pa.Array | pa.ChunkedArray):
            ids = pa.array(list(ids), pa.large_string())
        if seed is None:
            qualities = np.nan_to_num(self.qualities, nan=-np.inf)
            keys = {"quality": pa.array(-qualities), "length": pa.array(-self.lengths), "doc_id": ids}
        else:
            keys = {"draw": pa.array([_draw(seed, doc_id.as_py()) for doc_id in ids], pa.uint64()), "doc_id": ids}
        order = pc.sort_indices(pa.table(keys), [(name, "ascending") for name in keys]).to_numpy()
        positions = np.empty(order.size, np.int64)
        positions[order] = np.arange(order.size)
        return positions


def group_labels(keys: Sequence[object]) -> Indices:
    """Return for every entry the index of the first entry with the same key."""
    first: dict[object, int] = {}
    return np.array([first.setdefault(key, index) for index, key in enumerate(keys)], np.int64)


def choose_winners(labels: Indices, positions: Indices) -> Indices:
    """Return the index of the best member of each node's component, by `positions` (0 is best)."""
    order = np.argsort(positions, kind="stable")
    winners = np.full(labels.size, -1, np.int64)
    # Assigned from the last to the best, so the best is what remains.
    winners[labels[order[::-1]]] = order[::-1]
    return winners[labels]


def _draw(seed: int, doc_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}:{doc_id}".encode(), digest_size=8).digest(), "big")
