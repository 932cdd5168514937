"""Clusters from band rows on disk: 1 and 10 million rows, two threads, each run in its own process.

The rows: 14 bands; a fifth of all documents come in families of 2 to 9 that share each band with probability .4 and
87% or more of 100 shingles, so that candidates are verified; the other documents share no band.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.report import Row, peak_bytes
from lm.progress import track
from pipelines.dedup.array_files import map_array, save_array
from pipelines.dedup.lsh import MEMORY_BYTES, Buckets, ShingleSets, candidates, cluster, find_buckets
from pipelines.dedup.minhash import Bands

_BANDS, _SHINGLES, _THREADS, _REPEATS = 14, 100, 2, 3
_FEW, _MANY = 1_000_000, 10_000_000
_AMPLE, _SCANT = MEMORY_BYTES, 16 * 2**20
GIB = 2**30


@dataclass(frozen=True)
class _Run:
    seconds: float
    cpu_s: float
    peak_bytes: int
    num_joined: int


def cluster_rows() -> Iterator[Row]:
    """Yield rows of seconds, peak memory and growth."""
    with tempfile.TemporaryDirectory(prefix="loam-minhash-") as place:
        for num_rows in (_FEW, _MANY):
            _write_rows(Path(place) / str(num_rows), num_rows // _BANDS)
        runs: dict[tuple[int, int], list[_Run]] = {(_FEW, _AMPLE): [], (_MANY, _AMPLE): [], (_MANY, _SCANT): []}
        for _ in track(range(_REPEATS), "clustering", total=_REPEATS, unit="round"):
            for (num_rows, memory_bytes), found in runs.items():
                found.append(_in_child(Path(place) / str(num_rows), memory_bytes))
    many, spilled = runs[_MANY, _AMPLE], runs[_MANY, _SCANT]
    few_cpu, many_cpu = (statistics.median(run.cpu_s for run in runs[rows, _AMPLE]) for rows in (_FEW, _MANY))
    for name, found in (("", many), (", 16 MiB to sort in", spilled)):
        yield Row(
            name=f"clustering 10 million band rows{name}",
            value=statistics.median(run.seconds for run in found),
            unit="s",
            target=60,
            better="lower",
        )
        yield Row(
            name="peak memory of it",
            value=max(run.peak_bytes for run in found) / GIB,
            unit="GiB",
            target=4,
            better="lower",
        )
    yield Row(
        name="processor seconds of 10 million band rows",
        value=many_cpu,
        unit="s",
        peer="ratio: to ten times those of 1 million",
        ratio=many_cpu / few_cpu / (_MANY / _FEW),
        target=1.2,
        better="lower",
    )
    yield Row(name="documents joined among 714,285", value=many[0].num_joined, unit="documents")


def _write_rows(folder: Path, num_documents: int) -> None:
    folder.mkdir()
    generator = np.random.default_rng(num_documents)
    families = _families(num_documents, generator)
    keys = generator.integers(0, 2**63, (_BANDS, num_documents)).astype(np.uint64) * np.uint64(2)
    shared = (families >= 0) & (generator.random((_BANDS, num_documents)) < 0.4)
    of_family = generator.integers(0, 2**63, (_BANDS, int(families.max()) + 1)).astype(np.uint64) * np.uint64(2)
    keys = np.where(shared, of_family[:, np.maximum(families, 0)], keys)
    save_array(folder / "keys.npy", keys)
    save_array(folder / "content.npy", generator.integers(0, 2**63, num_documents).astype(np.uint64))
    members = np.flatnonzero(families >= 0)
    values = families[members, None].astype(np.uint64) * np.uint64(_SHINGLES) + np.arange(_SHINGLES, dtype=np.uint64)
    own = generator.integers(0, 8, members.size)
    tail = np.arange(_SHINGLES) >= (_SHINGLES - own)[:, None]
    values[tail] = (np.uint64(1) << np.uint64(40)) + np.arange(int(tail.sum()), dtype=np.uint64)
    save_array(folder / "members.npy", members)
    save_array(folder / "values.npy", values.reshape(-1))


def _families(num_documents: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the family of every document, −1 for none."""
    sizes = generator.integers(2, 10, num_documents // 20)
    sizes = sizes[np.cumsum(sizes) <= num_documents // 5]
    families = np.full(num_documents, -1, np.int64)
    families[generator.permutation(num_documents)[: sizes.sum()]] = np.repeat(np.arange(sizes.size), sizes)
    return families


def _in_child(folder: Path, memory_bytes: int) -> _Run:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (folder, memory_bytes))


def _measure(folder: Path, memory_bytes: int) -> _Run:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        _cluster(*_rows_of(folder, 1000), Path(place) / "warm", memory_bytes)  # compiled functions are loaded
        tables, sets, content = _rows_of(folder)
        start, cpu_start = time.perf_counter(), time.process_time()
        labels = _cluster(tables, sets, content, Path(place) / "buckets", memory_bytes)
        seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
    joined = int((labels != np.arange(labels.size)).sum())
    return _Run(seconds, cpu_s, peak_bytes(), joined)


def _rows_of(folder: Path, num_documents: int | None = None) -> tuple[list[Bands], ShingleSets, npt.NDArray[np.uint64]]:
    keys = map_array(folder / "keys.npy")[:, :num_documents]
    content = map_array(folder / "content.npy")[:num_documents]
    members = map_array(folder / "members.npy")
    sets = ShingleSets(members, np.arange(members.size + 1) * _SHINGLES, map_array(folder / "values.npy"))
    return [Bands(np.arange(content.size), keys, content)], sets, content


def _cluster(
    tables: list[Bands], sets: ShingleSets, content: npt.NDArray[np.uint64], folder: Path, memory_bytes: int
) -> npt.NDArray[np.int64]:
    found: list[list[Buckets]] = find_buckets(tables, folder, memory_bytes=memory_bytes, num_threads=_THREADS)
    candidates(found, content.size)
    return cluster(found, sets, content, 0.8, num_threads=_THREADS)
