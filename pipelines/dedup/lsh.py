"""LSH candidate buckets and duplicate clusters, computed out of core.

    band keys of all documents            `minhash.Bands`, one a partition, memory-mapped
    → sorted by key, one band at a time   in slices of the key space, spilled to disk where a band exceeds the memory
    → buckets of two and more documents   on disk; the next steps read only the buckets
    → pairs whose true Jaccard index reaches the threshold → connected components

Decisions:
- Bands are processed one after the other. Within a band every bucket is compared by itself, given only the joins of
  earlier bands. So neither the number of threads nor the number of slices changes a cluster.
- Work on a bucket of more than `MOST_PAIRWISE` documents is bounded (`bucket_kernels.join_buckets`): each document is
  compared with up to `NUM_REPRESENTATIVES` documents and with its predecessor in the order of signatures, which does
  not depend on the order of the input.

Memory: `memory_bytes` for sorting, and 24 bytes per document for the components. Disk: 8 bytes per band row for the
keys, 16 for each spilled row, 8 for each row in a bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.dedup.array_files import map_array, save_array, write_array
from pipelines.dedup.clusters import Indices, Mask
from pipelines.dedup.minhash import Bands, Shingles

MOST_PAIRWISE = 64
NUM_REPRESENTATIVES = 16
MEMORY_BYTES = 2**30
"""The default memory for sorting."""

_ROW_BYTES = 56  # a row while it is sorted: key and document as read, as dealt and as grouped, and a start
_ROWS_PER_TASK = 1 << 10
_SPILLED = np.dtype([("key", np.uint64), ("member", np.int64)])


@dataclass(frozen=True, slots=True)
class Buckets:
    """Buckets of one band: bucket `i` holds the documents `members[starts[i]:starts[i + 1]]`, in their order."""

    members: Indices
    starts: Indices

    def tasks(self) -> Iterator[Buckets]:
        """Yield the buckets in runs of about `_ROWS_PER_TASK` documents."""
        first, last = 0, self.starts.size - 1
        while first < last:
            end = int(np.searchsorted(self.starts, self.starts[first] + _ROWS_PER_TASK, "right")) - 1
            end = min(max(end, first + 1), last)
            begin = self.starts[first]
            yield Buckets(self.members[begin : self.starts[end]], self.starts[first : end + 1] - begin)
            first = end


@dataclass(frozen=True, slots=True)
class ShingleSets:
    """The shingles of the documents `members` (ascending): those of `members[i]` are `values[starts[i]:starts[i + 1]]`,
    sorted and each once. `values` may be a file's pages."""

    members: Indices
    starts: Indices
    values: Shingles

    @classmethod
    def of(cls, members: Indices, sets: Sequence[Shingles]) -> ShingleSets:
        """Return sets held in memory."""
        starts = np.cumsum([0, *(each.size for each in sets)], dtype=np.int64)
        return cls(members, starts, np.concatenate(sets) if sets else np.empty(0, np.uint64))

    def jaccard(self, left: Indices, right: Indices) -> npt.NDArray[np.float64]:
        """Return the Jaccard index of the documents `left[i]` and `right[i]`."""
        from pipelines.dedup.lsh_kernels import pair_jaccards

        rows = np.searchsorted(self.members, left), np.searchsorted(self.members, right)
        return pair_jaccards(*rows, self.values, self.starts)


def find_buckets(
    tables: Sequence[Bands],
    folder: Path | None = None,
    *,
    among: Mask | None = None,
    memory_bytes: int = MEMORY_BYTES,
    num_threads: int = 1,
) -> list[list[Buckets]]:
    """Return the buckets of every band, in the order of their keys.

    Without a `folder` everything stays in memory. `among` leaves documents out; `memory_bytes` bounds what all threads
    sort at once.
    """
    num_bands = tables[0].keys.shape[0] if tables else 0
    num_rows = sum(table.members.size for table in tables)
    num_slices = 1
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        while num_rows * _ROW_BYTES * num_threads > memory_bytes * num_slices and num_slices < 4096:
            num_slices *= 2

    def work(band: int) -> list[Buckets]:
        rows = ((table.keys[band], table.members) for table in tables)
        chosen = rows if among is None else ((keys[among[members]], members[among[members]]) for keys, members in rows)
        if folder is None or num_slices == 1:
            blocks = [_sorted(*_concatenated(chosen))]
            return blocks if folder is None else [_stored(each, folder / f"{band}-0") for each in blocks]
        return _spilled_buckets(chosen, folder, band, num_slices)

    with ThreadPoolExecutor(num_threads) as threads:
        return list(threads.map(work, range(num_bands)))


def candidates(buckets: Sequence[Sequence[Buckets]], num_documents: int) -> Mask:
    """Return whether each document shares a bucket with another."""
    found = np.zeros(num_documents, np.bool_)
    for band in buckets:
        for block in band:
            found[block.members] = True
    return found


def cluster(
    buckets: Sequence[Sequence[Buckets]],
    sets: ShingleSets,
    content: npt.NDArray[np.uint64],
    threshold: float,
    *,
    num_threads: int = 1,
) -> Indices:
    """Return the smallest member of every document's cluster.

    `content` has one key for each document, computed from the document and not from its place (`Bands.content`); `sets`
    holds the shingles of all `candidates`.
    """
    from pipelines.dedup.cluster_kernels import join_edges, label
    from pipelines.dedup.lsh_kernels import join_buckets

    parents = np.arange(content.size, dtype=np.int64)
    limits = threshold, MOST_PAIRWISE, NUM_REPRESENTATIVES

    def work(roots: Indices, task: Buckets) -> tuple[Indices, Indices]:
        members = np.ascontiguousarray(task.members)
        rows = np.searchsorted(sets.members, members)
        left, right = np.empty_like(members), np.empty_like(members)
        count = join_buckets(
            members, task.starts, rows, roots, content, sets.values, sets.starts, *limits, left, right
        )  # fmt: skip
        return left[:count], right[:count]

    with ThreadPoolExecutor(num_threads) as threads:
        for band in buckets:
            roots = label(parents)
            tasks = [task for block in band for task in block.tasks()]
            for left, right in threads.map(lambda task, roots=roots: work(roots, task), tasks):
                join_edges(parents, left, right)
    return label(parents)


def _concatenated(rows: Iterable[tuple[Any, Any]]) -> tuple[npt.NDArray[np.uint64], Indices]:
    keys, members = zip(*rows, strict=True)
    return np.concatenate(keys), np.concatenate(members)


def _sorted(keys: npt.NDArray[np.uint64], members: Indices) -> Buckets:
    """Return the buckets among the rows of a band, or of a slice of it."""
    from pipelines.dedup.lsh_kernels import group_equal

    return Buckets(*group_equal(keys, members))


def _spilled_buckets(
    rows: Iterable[tuple[npt.NDArray[np.uint64], Indices]], folder: Path, band: int, num_slices: int
) -> list[Buckets]:
    """Deal the rows of a band into files by the upper bits of their keys, then sort one file at a time."""
    paths = [folder / f"{band}-{number}" for number in range(num_slices)]
    shift = np.uint64(65 - num_slices.bit_length())
    files = [path.with_suffix(".rows").open("wb") for path in paths]
    try:
        for keys, members in rows:
            for begin in range(0, keys.size, 1 << 20):
                part = np.empty(min(1 << 20, keys.size - begin), _SPILLED)
                part["key"], part["member"] = keys[begin : begin + part.size], members[begin : begin + part.size]
                slices = (part["key"] >> shift).astype(np.uint16)  # which NumPy sorts in linear time
                order = np.argsort(slices, kind="stable")
                bounds = np.searchsorted(slices[order], np.arange(num_slices + 1, dtype=np.uint16))
                part = part[order]
                for file, first, last in zip(files, bounds[:-1], bounds[1:], strict=True):
                    write_array(file, part[first:last])
    finally:
        for file in files:
            file.close()
    return [_sorted_file(path) for path in paths]


def _sorted_file(path: Path) -> Buckets:
    spilled = path.with_suffix(".rows")
    rows = np.fromfile(spilled, _SPILLED)
    spilled.unlink()
    keys, members = np.ascontiguousarray(rows["key"]), np.ascontiguousarray(rows["member"])
    del rows
    return _stored(_sorted(keys, members), path)


def _stored(found: Buckets, path: Path) -> Buckets:
    """Return the buckets as the pages of two files."""
    save_array(path.with_suffix(".members.npy"), found.members)
    save_array(path.with_suffix(".starts.npy"), found.starts)
    return Buckets(map_array(path.with_suffix(".members.npy")), map_array(path.with_suffix(".starts.npy")))
