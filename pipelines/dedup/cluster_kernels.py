"""Compiled union-find for `pipelines.dedup.clusters`; imported only where duplicates are clustered.

Every root is the smallest member of its component, so the labels do not depend on the order of the unions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lm.compiled import compiled


@compiled
def find(parents: NDArray[np.int64], node: Any) -> Any:
    """Return the root of `node`; every second node on the way is linked to its grandparent (path halving)."""
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


@compiled
def union(parents: NDArray[np.int64], left: Any, right: Any) -> bool:
    """Join two components under the smaller root; return whether they were separate."""
    left, right = find(parents, left), find(parents, right)
    if left == right:
        return False
    if left < right:
        parents[right] = left
    else:
        parents[left] = right
    return True


@compiled
def join_edges(parents: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
    """Join the two nodes of every edge."""
    for index in range(left.size):
        union(parents, left[index], right[index])


@compiled
def label(parents: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the root of every node."""
    labels = np.empty(parents.size, np.int64)
    for node in range(parents.size):
        labels[node] = find(parents, node)
    return labels
