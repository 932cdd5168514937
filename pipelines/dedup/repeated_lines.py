"""Lines that occur more than once in a corpus: found out of core, then dropped from the documents.

    1. each partition, in worker processes: 128 bits of BLAKE2b of every line → sorted, each once, on disk
    2. slice by slice of the digests' space: the digests that occur twice, in one partition or in several
    3. document by document: the lines whose digest is among them go, all of them or all but the first

Decisions: two lines are equal where 128 bits of a cryptographic hash are, so no text need be held or compared; of
10**12 lines some two different ones agree with probability 10**24 / 2**129, about 10**-15. Lines stand between "\\n"
and are compared whole (`exact.lines_of`); those shorter than `min_characters` are left alone. The order of
partitions and rows decides which copy is the first. `exact.deduplicate_lines` splits lines in the same way.

Memory: 16 bytes a line of one partition in each worker; then 1 byte a line that repeats. Disk: 17 bytes a line.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lm.storage import Artifact
from pipelines.dedup.array_files import map_array, map_values, save_array, write_array
from pipelines.dedup.clusters import Indices, Mask
from pipelines.dedup.exact import Keep, joined, lines_of
from pipelines.documents.view import read_documents
from pipelines.executor.partitions import Report, run_partitions

Halves = npt.NDArray[np.uint64]
Job = tuple[Artifact, Indices, Path]

_ROW_BYTES = 64  # a digest while a slice is sorted


def digest_line(line: str) -> bytes:
    """Return 128 bits of BLAKE2b of a line."""
    return hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def digests_of(lines: Sequence[str]) -> tuple[Halves, Halves]:
    """Return the digests of lines, as their upper and lower 64 bits."""
    both = np.frombuffer(b"".join(map(digest_line, lines)), ">u8").astype(np.uint64).reshape(-1, 2)
    return np.ascontiguousarray(both[:, 0]), np.ascontiguousarray(both[:, 1])


@dataclass(frozen=True, slots=True)
class RepeatedLines:
    """The digests of the lines that repeat, in ascending order; `high` and `low` may be the pages of files."""

    high: Halves
    low: Halves

    def find(self, high: Halves, low: Halves) -> Indices:
        """Return the index of every digest among the repeated ones, −1 where it is not repeated."""
        if self.high.size == 0:
            return np.full(high.size, -1, np.int64)
        places = np.searchsorted(self.high, high)
        while True:  # more than once only where upper halves collide
            inside = np.minimum(places, self.high.size - 1)
            behind = (places < self.high.size) & (self.high[inside] == high) & (self.low[inside] < low)
            if not behind.any():
                break
            places = places + behind
        hit = (places < self.high.size) & (self.high[inside] == high) & (self.low[inside] == low)
        return np.where(hit, places, -1)


@dataclass(slots=True)
class LineFilter:
    """Line filter: drops repeated lines from texts, which are passed in the order of the corpus."""

    repeated: RepeatedLines
    keep: Keep
    min_characters: int
    num_dropped: int = 0
    _seen: Mask = field(init=False)

    def __post_init__(self) -> None:
        self._seen = np.zeros(self.repeated.high.size, np.bool_)

    def __call__(self, texts: Sequence[str]) -> tuple[list[str], list[float]]:
        """Return the texts without dropped lines, and the dropped share of each text's lines."""
        lines = [lines_of(text) for text in texts]
        counted = [len(line) >= self.min_characters for each in lines for line in each]
        judged = np.array(counted, np.bool_)
        stays = np.ones(judged.size, np.bool_)
        flat = [line for each in lines for line in each]
        stays[judged] = self._stays(self.repeated.find(*digests_of([flat[i] for i in np.flatnonzero(judged)])))
        self.num_dropped += int((~stays).sum())
        kept, shares, first = [], [], 0
        for text, each in zip(texts, lines, strict=True):
            here = stays[first : first + len(each)]
            kept.append(text if here.all() else joined(text, each, here.tolist()))
            shares.append(float(1 - here.mean()) if each else 0.0)
            first += len(each)
        return kept, shares

    def _stays(self, places: Indices) -> Mask:
        if self.keep == "none":
            return places < 0
        stays = places < 0
        rows = np.flatnonzero(~stays)
        which, firsts = np.unique(places[rows], return_index=True)
        new = ~self._seen[which]
        stays[rows[firsts[new]]] = True
        self._seen[which[new]] = True
        return stays


def find_repeated_lines(
    jobs: Mapping[str, tuple[Artifact, Indices]],
    folder: Path,
    *,
    min_characters: int,
    memory_bytes: int,
    num_workers: int = 1,
    report: Report | None = None,
) -> RepeatedLines:
    """Return the lines that occur more than once in the documents of all partitions; a job names the rows of its
    documents.
    """
    folder.mkdir()
    work = {key: (*job, folder / str(number)) for number, (key, job) in enumerate(jobs.items())}
    function = functools.partial(_digest_partition, min_characters)
    run_partitions(function, work, num_workers=num_workers, report=report, description="lines")
    parts = [[map_array(path.with_suffix(f".{name}.npy")) for name in _COLUMNS] for _, _, path in work.values()]
    with (folder / "high").open("wb") as high, (folder / "low").open("wb") as low:
        for found in _repeated(parts, memory_bytes):
            write_array(high, found[0])
            write_array(low, found[1])
    for _, _, path in work.values():
        for name in _COLUMNS:
            path.with_suffix(f".{name}.npy").unlink()
    return RepeatedLines(map_values(folder / "high", np.uint64), map_values(folder / "low", np.uint64))


_COLUMNS = ("high", "low", "twice")


def _digest_partition(min_characters: int, job: Job) -> None:
    """Write the sorted digests of a partition's lines, each once, and which of them occur in it twice."""
    source, wanted, path = job
    highs, lows, first = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)], 0
    for batch in read_documents(source, ["text"]):
        here = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, first + batch.num_rows)] - first
        lines = [
            line
            for text in batch.column("text").take(here).to_pylist()
            for line in lines_of(text)
            if len(line) >= min_characters
        ]
        high, low = digests_of(lines)
        highs.append(high)
        lows.append(low)
        first += batch.num_rows
    high, low = np.concatenate(highs), np.concatenate(lows)
    for name, column in zip(_COLUMNS, _distinct(high, low, np.zeros(high.size, np.bool_)), strict=True):
        save_array(path.with_suffix(f".{name}.npy"), column)


def _distinct(high: Halves, low: Halves, twice: Mask) -> tuple[Halves, Halves, Mask]:
    """Return the distinct digests in ascending order, and for each whether it is repeated, here or by `twice`."""
    order = np.lexsort((low, high))
    high, low, twice = high[order], low[order], twice[order]
    begins = np.ones(high.size, np.bool_)
    begins[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    starts = np.flatnonzero(begins)
    counts = np.diff(np.append(starts, high.size))
    again = np.logical_or.reduceat(twice, starts) if starts.size else twice
    return high[starts], low[starts], again | (counts > 1)


def _repeated(parts: Sequence[Sequence[npt.NDArray[Any]]], memory_bytes: int) -> Iterator[tuple[Halves, Halves]]:
    """Yield the repeated digests of all parts together, in ascending order, one slice of their space at a time."""
    num_digests, bits = sum(high.size for high, _, _ in parts), 0
    while num_digests * _ROW_BYTES > memory_bytes << bits and bits < 16:
        bits += 1
    borders = np.array([number << (64 - bits) for number in range(1, 1 << bits)], np.uint64)
    cuts = [np.concatenate([[0], np.searchsorted(high, borders), [high.size]]).astype(np.int64) for high, _, _ in parts]
    for number in range(1 << bits):
        here = [
            [column[cut[number] : cut[number + 1]] for column in part] for part, cut in zip(parts, cuts, strict=True)
        ]
        high, low, twice = _distinct(*(np.concatenate(columns) for columns in zip(*here, strict=True)))
        yield high[twice], low[twice]
