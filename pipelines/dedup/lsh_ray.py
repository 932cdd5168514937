"""LSH buckets and duplicate clusters on a Ray cluster, by shuffles.

    band rows    shuffled by band and key → buckets
    buckets      pairs that reach the threshold → edges
    edges        connected components by alternating large-star and small-star (Kiveris et al. 2014, Connected
                 Components in MapReduce and Beyond, algorithms 1 and 2), a shuffle each, until nothing changes

Tasks find scratch files by path: with several machines `LOAM_HOME` is a shared file system.

Not covered: what deduplication keeps for every document (`docs/deduplication.md`) is on the driver here too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.dedup.array_files import map_array, save_array
from pipelines.dedup.clusters import Indices, Mask
from pipelines.dedup.lsh import MOST_PAIRWISE, NUM_REPRESENTATIVES, ShingleSets
from pipelines.dedup.minhash import Bands
from pipelines.executor.ray import num_shuffle_tasks, quiet_data

_ROWS_PER_SLICE = 1 << 22


_EDGES_PER_PART = 1 << 22


def find_buckets_on_ray(tables: Sequence[Bands], among: Mask, folder: Path) -> Any:
    """Return a dataset with a row for each slice of the key space: the `members` of its buckets and where each
    `starts`.

    The band rows of each table lie in `folder` afterwards, for the tasks to map.
    """
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for number, table in enumerate(tables):
        chosen = among[table.members]
        save_array(folder / f"{number}.members.npy", np.ascontiguousarray(table.members[chosen]))
        save_array(folder / f"{number}.keys.npy", np.ascontiguousarray(table.keys[:, chosen]))
        items += [{"table": str(folder / str(number)), "band": band} for band in range(table.keys.shape[0])]
    num_rows = sum(int(among[table.members].sum()) for table in tables)
    slices = max(1, -(-num_rows // _ROWS_PER_SLICE))
    rows = quiet_data().from_items(items, override_num_blocks=len(items))
    spread = rows.map_batches(functools.partial(_band_rows, slices), batch_size=1, batch_format="pyarrow")
    grouped = spread.groupby("slice", num_partitions=num_shuffle_tasks())
    return grouped.map_groups(_buckets_of, batch_format="pyarrow").materialize()


def _band_rows(num_slices: int, batch: pa.Table) -> pa.Table:
    """Return the rows of one band of one table, with the slice that each belongs to."""
    table, band = batch.column("table")[0].as_py(), batch.column("band")[0].as_py()
    members = map_array(Path(f"{table}.members.npy"))
    keys = np.ascontiguousarray(map_array(Path(f"{table}.keys.npy"))[band])
    slices = band * num_slices + (keys % np.uint64(num_slices)).astype(np.int64)
    return pa.table({"slice": slices, "key": keys, "member": np.array(members)})


def _buckets_of(rows: pa.Table) -> pa.Table:
    """Return the buckets among the rows of a slice; within a bucket members ascend, as they do in the local engine."""
    from pipelines.dedup.lsh_kernels import group_equal

    members = rows.column("member").to_numpy()
    order = np.argsort(members, kind="stable")
    keys = np.ascontiguousarray(rows.column("key").to_numpy()[order])
    found, starts = group_equal(keys, np.ascontiguousarray(members[order]))
    return pa.table({"members": [found], "starts": [starts]})


def candidates_on_ray(buckets: Any, num_documents: int) -> Mask:
    """Return whether each document shares a bucket with another."""
    found = np.zeros(num_documents, np.bool_)
    for batch in buckets.select_columns(["members"]).iter_batches(batch_size=None, batch_format="pyarrow"):
        found[pc.list_flatten(batch.column("members")).to_numpy()] = True
    return found


def cluster_on_ray(buckets: Any, sets: ShingleSets, content: Any, threshold: float, folder: Path) -> Indices:
    """Return the smallest member of every document's cluster; `sets` and `content` are written into `folder` for the
    tasks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"members": sets.members, "starts": sets.starts, "values": sets.values, "content": content}
    for name, array in arrays.items():
        save_array(folder / f"{name}.npy", array)
    join = functools.partial(_edges_of, str(folder), threshold)
    edges = buckets.map_batches(join, batch_size=1, batch_format="pyarrow").materialize()
    labels = np.arange(content.size, dtype=np.int64)
    for batch in components_on_ray(edges).iter_batches(batch_size=None, batch_format="numpy"):
        labels[batch["node"]] = batch["neighbour"]
    return labels


def _edges_of(folder: str, threshold: float, batch: pa.Table) -> pa.Table:
    """Return the edges between similar documents of a slice's buckets."""
    from pipelines.dedup.lsh_kernels import join_buckets

    arrays = {name: map_array(Path(folder) / f"{name}.npy") for name in ("members", "starts", "values", "content")}
    members, starts = (batch.column(name)[0].values.to_numpy() for name in ("members", "starts"))
    members, starts = np.ascontiguousarray(members), np.ascontiguousarray(starts)
    rows, content = np.searchsorted(arrays["members"], members), np.ascontiguousarray(arrays["content"][members])
    # A slice is of one band, where each document stands once: it goes by its place in the slice.
    here = np.arange(members.size, dtype=np.int64)
    left, right = np.empty_like(here), np.empty_like(here)
    settings = arrays["values"], arrays["starts"], threshold, MOST_PAIRWISE, NUM_REPRESENTATIVES
    count = join_buckets(here, starts, rows, here, content, *settings, left, right)
    ends = members[left[:count]], members[right[:count]]
    return pa.table({"node": np.maximum(*ends), "neighbour": np.minimum(*ends)})


def components_on_ray(edges: Any) -> Any:
    """Turn edges (`node`, `neighbour`) into stars: every node of a component but the smallest, with the smallest."""
    num_edges, before = edges.count(), None
    if num_edges == 0:
        return edges
    parts = max(1, min(4 * num_shuffle_tasks(), -(-num_edges // _EDGES_PER_PART)))
    while (now := _checksum(edges)) != before:
        before = now
        edges = _star(edges, parts, _large_star, both_ways=True)
        edges = _star(edges, parts, _small_star, both_ways=False)
    return edges


def _star(edges: Any, parts: int, star: Callable[[pa.Table], pa.Table], *, both_ways: bool) -> Any:
    """Bring the edges of each node together, and send them through a star operation."""
    sent = edges.map_batches(functools.partial(_addressed, parts, both_ways), batch_size=None, batch_format="pyarrow")
    grouped = sent.groupby("part", num_partitions=min(parts, num_shuffle_tasks()))
    return grouped.map_groups(star, batch_format="pyarrow").materialize()


def _addressed(parts: int, both_ways: bool, batch: pa.Table) -> pa.Table:
    node, neighbour = (batch.column(name).to_numpy() for name in ("node", "neighbour"))
    if both_ways:
        node, neighbour = np.concatenate([node, neighbour]), np.concatenate([neighbour, node])
    return pa.table({"part": node % parts, "node": node, "neighbour": neighbour})


def _large_star(rows: pa.Table) -> pa.Table:
    """Connect each node's larger neighbours to the smallest of the node and all its neighbours."""
    node, neighbour, smallest = _with_smallest(rows)
    larger = neighbour > node
    return _distinct(neighbour[larger], np.minimum(smallest, node)[larger])


def _small_star(rows: pa.Table) -> pa.Table:
    """Connect each node (whose neighbours here are all smaller) and its neighbours to the smallest of these."""
    node, neighbour, smallest = _with_smallest(rows)
    moved = neighbour != smallest
    return _distinct(np.concatenate([neighbour[moved], node]), np.concatenate([smallest[moved], smallest]))


def _with_smallest(rows: pa.Table) -> tuple[Indices, Indices, Indices]:
    """Return the rows sorted by node, and for each the smallest neighbour of its node."""
    node, neighbour = (rows.column(name).to_numpy() for name in ("node", "neighbour"))
    order = np.lexsort((neighbour, node))
    node, neighbour = node[order], neighbour[order]
    firsts = np.flatnonzero(np.concatenate([[True], node[1:] != node[:-1]]))
    counts = np.diff(np.append(firsts, node.size))
    return node, neighbour, np.repeat(neighbour[firsts], counts)


def _distinct(node: Indices, neighbour: Indices) -> pa.Table:
    pairs = np.unique(np.stack([node, neighbour]), axis=1)
    return pa.table({"node": pairs[0], "neighbour": pairs[1]})


def _checksum(edges: Any) -> tuple[int, int]:
    """Return the number of edges, and a checksum of the set of edges."""
    total, count = 0, 0
    for batch in edges.iter_batches(batch_size=None, batch_format="numpy"):
        node, neighbour = batch["node"].astype(np.uint64), batch["neighbour"].astype(np.uint64)
        mixed = (node * np.uint64(0x9E3779B97F4A7C15)) ^ (neighbour + np.uint64(0x7F4A7C15)) * np.uint64(
            0xC2B2AE3D27D4EB4F
        )
        total, count = (total + int(mixed.sum())) % 2**64, count + node.size
    return count, total
