"""The token stream of a split: the concatenated rows of all its sources, or of one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lm.shards import Shard, TokenShards

_Positions = npt.NDArray[np.int64]


class TokenStream:
    """The concatenated rows of all shards of a split, or of one `source`, read from memory-mapped files.

    Consecutive rows of a shard form a run, which is read in one piece. Without a source, a shard is one run.
    """

    def __init__(self, shards: TokenShards, source: str | None = None) -> None:
        self.shards, self.source = shards, source
        runs = [run for index, shard in enumerate(shards.shards) for run in _runs(index, shard, source)]
        self._runs = np.array(runs, dtype=np.int64).reshape(-1, 3)
        self._starts = [int(shards.shards[shard].offsets[first]) for shard, first, _ in runs]
        ends = [int(shards.shards[shard].offsets[end]) for shard, _, end in runs]
        self._begins = np.cumsum([0, *(end - start for start, end in zip(self._starts, ends, strict=True))])

    def __len__(self) -> int:
        return int(self._begins[-1])

    @cached_property
    def document_begins(self) -> _Positions:
        """The position of each document's first id, and the end of the last document; shape (documents + 1,)."""
        parts = [self._row_offsets(run) + self._begins[run] for run in range(len(self._runs))]
        return np.concatenate([*(part[:-1] for part in parts), self._begins[-1:]]).astype(np.int64)

    def read(self, start: int, length: int) -> npt.NDArray[np.int64]:
        """Return `length` ids from position `start` on. A window may cross from one run to the next."""
        pieces = []
        while length > 0:
            run, offset = self._locate(start)
            length_here = min(length, int(self._begins[run + 1]) - start)
            pieces.append(self.shards.shards[self._runs[run, 0]].tokens[offset : offset + length_here])
            start, length = start + length_here, length - length_here
        return np.concatenate(pieces).astype(np.int64)

    def doc_ids(self, start: int, end: int) -> list[str]:
        """Return the ids of the documents between the positions `start` and `end` (exclusive), in order."""
        found: list[str] = []
        while start < end:
            run, offset = self._locate(start)
            shard = int(self._runs[run, 0])
            offsets = self.shards.shards[shard].offsets
            row = int(np.searchsorted(offsets, offset, side="right")) - 1
            found.append(self.shards.doc_id(shard, row))
            start += int(offsets[row + 1]) - offset
        return found

    def begins_document(self, position: int) -> bool:
        """Return whether a document begins at this position."""
        index = int(np.searchsorted(self.document_begins, position))
        return bool(self.document_begins[index] == position)

    def span_of(self, doc_id: str) -> tuple[int, int] | None:
        """Return the first and one past the last position of a document, or None if the stream does not contain it."""
        for run, (shard, first, end) in enumerate(self._runs.tolist()):
            ids = self.shards.shards[shard].doc_ids.slice(first, end - first)
            row = pc.index(ids, pa.scalar(doc_id, ids.type)).as_py()
            if row >= 0:
                offsets = self._row_offsets(run) + self._begins[run]
                return int(offsets[row]), int(offsets[row + 1])
        return None

    def _row_offsets(self, run: int) -> _Positions:
        """Return the offsets of a run's rows, counted from 0."""
        shard, first, end = (int(value) for value in self._runs[run])
        offsets: _Positions = self.shards.shards[shard].offsets[first : end + 1] - self._starts[run]
        return offsets

    def _locate(self, position: int) -> tuple[int, int]:
        """Return the run of a position, and the position's offset in the shard of the run."""
        if not 0 <= position < len(self):
            raise IndexError(f"token {position} of a stream of {len(self)}")
        run = int(np.searchsorted(self._begins, position, side="right")) - 1
        return run, position - int(self._begins[run]) + self._starts[run]


def source_names(shards: TokenShards) -> list[str]:
    """Return the sources of a split's rows in alphabetical order."""
    return sorted({name for shard in shards.shards for name in pc.unique(shard.sources).to_pylist()})


def _runs(index: int, shard: Shard, source: str | None) -> Iterator[tuple[int, int, int]]:
    """Yield (shard, first row, end row) of each run of consecutive rows."""
    num_rows = len(shard.doc_ids)
    if source is None:
        if num_rows:
            yield index, 0, num_rows
        return
    chosen = pc.equal(shard.sources, source).to_numpy(zero_copy_only=False).astype(np.int8)
    edges = np.flatnonzero(np.diff(chosen, prepend=0, append=0))
    for first, end in edges.reshape(-1, 2).tolist():
        yield index, first, end
