"""Curation of real news pages on one core, against a bare loop, trafilatura and datatrove; two workers against one.

A WARC file has 5,520 pages by default. The startup of a curation (models, index of evaluation items, child process)
costs half a second of CPU time, which is negligible for a crawl's file of 30,000 pages but not for a small sample.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.report import Row, finish, parser, peak_bytes
from benchmarks.shared_data import shared_data
from benchmarks.web import refinery, rivals
from benchmarks.web.pages import TruePage, precision_recall_f1, true_pages, write_warc
from lm.errors import run_command
from lm.progress import track
from pipelines.curation.steps import CURATION, EXTRACTION
from pipelines.documents.tables import DOCUMENTS
from pipelines.extract.html import extract_text

MIB = 2**20
NUM_PARTITIONS = 4
MIN_EXTRACTION, MIN_CURATION, MIN_DATATROVE, MIN_SCALING = 0.6, 0.55, 5.0, 1.8
MAX_MEMORY_MIB = 1024
MIN_F1, MIN_TRAFILATURA = 0.93, 8.0

Work = Callable[[Path], object]
"""Something timed: it gets an empty folder of its own."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("curation", (__doc__ or "").strip())
    options.add_argument("--copies", type=int, default=60, metavar="N", help="varied copies of each page (default: 60)")
    options.add_argument("--repeats", type=int, default=3, metavar="N", help="rounds; the median counts (default: 3)")
    options.add_argument("--skip", nargs="*", default=[], choices=list(_PARTS), help="parts to skip")
    arguments = options.parse_args(argv)
    pages = true_pages()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="loam-curation-") as name:
        folder = Path(name)
        paths = _write_warcs(folder, pages, arguments.copies) if pages else []
        built = refinery.build_refinery(folder, shared_data() / "gsm8k" / "test.jsonl")
        for part, measure in _PARTS.items():
            measured = pages and part not in arguments.skip
            rows += measure(pages, paths, built, folder, arguments.repeats if measured else 0)
    return finish("curation", rows, arguments)


def _write_warcs(folder: Path, pages: list[TruePage], num_copies: int) -> list[Path]:
    paths = [folder / f"{number}.warc.gz" for number in range(NUM_PARTITIONS)]
    for number, path in enumerate(track(paths, "write WARC files", unit="file")):
        write_warc(path, pages, num_copies, seed=number)
    return paths


def _quality(
    pages: list[TruePage], paths: Sequence[Path], built: refinery.Refinery, folder: Path, repeats: int
) -> list[Row]:
    """Return F1 and pages per second of the extraction alone, from bytes to text, in this process."""
    extractors: dict[str, Callable[[bytes], str] | None] = {
        "Loam": lambda html: extract_text(html) or "",
        "resiliparse": rivals.bare_text,
        "trafilatura": rivals.trafilatura_text(),
    }
    texts: dict[str, list[str]] = {}

    def extractor(name: str, run: Callable[[bytes], str]) -> Work:
        return lambda _: texts.update({name: [run(page.html) for page in pages]})

    works = {name: extractor(name, run) for name, run in extractors.items() if run is not None}
    seconds = _alternate(works, folder, repeats, "extraction alone")
    found = {name: precision_recall_f1(pages, each) for name, each in texts.items()}
    rows = []
    for name in extractors:
        precision, recall, f1 = found.get(name, (None, None, None))
        target = MIN_F1 if name == "Loam" else None
        rows.append(Row(name=f"F1 of shingles, {name}", value=f1, unit="", target=target))
        rows += [
            Row(name=f"  precision, {name}", value=precision, unit=""),
            Row(name=f"  recall, {name}", value=recall, unit=""),
        ]
    speeds = {name: len(pages) / each for name, each in seconds.items()}
    for peer, target in (("resiliparse", None), ("trafilatura", MIN_TRAFILATURA)):
        rows.append(_against("text of a page, no guard", speeds, "Loam", peer, target))
    return rows


def _one_core(
    pages: list[TruePage], paths: Sequence[Path], built: refinery.Refinery, folder: Path, repeats: int
) -> list[Row]:
    """Return rows of extraction and of the full curation of one WARC file, against a bare loop."""
    works: dict[str, Work] = {
        "bare loop": lambda _: rivals.bare_loop(paths[0]),
        "extraction": lambda target: refinery.extract(paths[0], target / "extracted"),
        "curation": lambda target: refinery.curate(paths[:1], built, target),
    }
    seconds = _alternate(works, folder, repeats, "one core")
    num_pages = rivals.bare_loop(paths[0]) if repeats else 0
    speeds = {name: num_pages / each for name, each in seconds.items()}
    return [
        _against("WARC + charset + text + guard", speeds, "extraction", "bare loop", MIN_EXTRACTION),
        _against("the whole curation", speeds, "curation", "bare loop", MIN_CURATION),
    ]


def _datatrove(
    pages: list[TruePage], paths: Sequence[Path], built: refinery.Refinery, folder: Path, repeats: int
) -> list[Row]:
    """Return the row of the full curation against datatrove, measured once after a warm-up on a small file."""
    pipeline = rivals.datatrove_pipeline()
    if pipeline is None or not repeats:
        return [_against("the whole curation, other filters", {}, "curation", "datatrove", MIN_DATATROVE)]

    def works(path: Path) -> dict[str, Work]:
        return {
            "curation": lambda target: refinery.curate([path], built, target / "loam"),
            "datatrove": lambda target: pipeline(path, target / "datatrove"),
        }

    small = folder / "small.warc.gz"
    write_warc(small, pages, num_copies=1, seed=NUM_PARTITIONS)
    _alternate(works(small), folder, 1, "warm up", warm_up=False)
    seconds = _alternate(works(paths[0]), folder, 1, "datatrove", warm_up=False)
    num_pages = rivals.bare_loop(paths[0])
    speeds = {name: num_pages / each for name, each in seconds.items()}
    return [_against("the whole curation, other filters", speeds, "curation", "datatrove", MIN_DATATROVE)]


def _two_workers(
    pages: list[TruePage], paths: Sequence[Path], built: refinery.Refinery, folder: Path, repeats: int
) -> list[Row]:
    """Return the speedup of two workers on two cores over one worker with its child process on one core."""
    cores = sorted(os.sched_getaffinity(0))[-2:]
    name = f"two workers, {NUM_PARTITIONS} partitions"
    if len(cores) < 2 or not repeats:
        return [Row(name=name, value=None, unit="pages/s", peer="one worker on one core", target=MIN_SCALING)]

    def curate(num_workers: int) -> Work:
        def run(target: Path) -> None:
            with _pinned(cores[-num_workers:]):
                refinery.curate(paths, built, target, num_workers)

        return run

    seconds = _alternate(
        {"one worker on one core": curate(1), "two workers": curate(2)},
        folder,
        repeats,
        "two workers",
        clock=time.monotonic,
        warm_up=False,
        cores=cores,
    )
    num_pages = sum(map(rivals.bare_loop, paths))
    speeds = {name: num_pages / each for name, each in seconds.items()}
    return [_against(name, speeds, "two workers", "one worker on one core", MIN_SCALING)]


def _memory(
    pages: list[TruePage], paths: Sequence[Path], built: refinery.Refinery, folder: Path, repeats: int
) -> list[Row]:
    """Return the peak resident sizes of a curating process and of its parsing child, and the bytes written."""
    peaks: tuple[int, int] | tuple[None, None] = (None, None)
    written: float | None = None
    if repeats:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peaks = pool.apply(_curate_for_memory, (paths[:1], built, folder / "memory"))
        written = _bytes_written(folder / "memory")
    return [
        *(
            Row(
                name=f"peak memory, {who}",
                value=None if peak is None else peak / MIB,
                unit="MiB",
                target=MAX_MEMORY_MIB,
                better="lower",
            )
            for who, peak in zip(("curation", "its parsing child"), peaks, strict=True)
        ),
        Row(name="bytes written for a byte of extracted documents", value=written, unit="", better="lower"),
    ]


def _curate_for_memory(paths: Sequence[Path], built: refinery.Refinery, home: Path) -> tuple[int, int]:
    refinery.curate(paths, built, home)
    return peak_bytes(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def _bytes_written(home: Path) -> float:
    """Return the ratio of the size of all steps' tables to the size of the extracted documents."""
    sizes = {step.artifact: _size_of(home / "artifacts" / step.artifact) for step in CURATION}
    return sum(sizes.values()) / _size_of(home / "artifacts" / EXTRACTION.artifact, DOCUMENTS)


def _size_of(folder: Path, name: str = "*.parquet") -> int:
    return sum(path.stat().st_size for path in folder.rglob(name))


_PARTS = {
    "quality": _quality,
    "one_core": _one_core,
    "datatrove": _datatrove,
    "two_workers": _two_workers,
    "memory": _memory,
}


def _against(what: str, speeds: Mapping[str, float], ours: str, peer: str, target: float | None) -> Row:
    own, other = speeds.get(ours), speeds.get(peer)
    ratio = own / other if own and other else None
    told = f"{peer} {other:,.0f}" if other else peer
    return Row(name=what, value=own, unit="pages/s", peer=told, ratio=ratio, target=target)


def _alternate(
    works: Mapping[str, Work],
    folder: Path,
    repeats: int,
    description: str,
    *,
    clock: Callable[[], float] | None = None,
    warm_up: bool = True,
    cores: Sequence[int] | None = None,
) -> dict[str, float]:
    """Return the median seconds of each work, done in turns, after an uncounted round if `warm_up` is true.

    By default, seconds are those of one core, this process and its children together: other work on the machine is not
    theirs.
    """
    clock = clock or _core_seconds
    seconds: dict[str, list[float]] = {name: [] for name in works}
    first = -1 if warm_up and repeats else 0
    with _pinned(cores or sorted(os.sched_getaffinity(0))[-1:]):
        for number in track(range(first, repeats), description, total=repeats - first, unit="round"):
            for name, work in works.items():
                target = folder / "work"
                target.mkdir()
                start = clock()
                work(target)
                if number >= 0:
                    seconds[name].append(clock() - start)
                shutil.rmtree(target)
    return {name: statistics.median(each) for name, each in seconds.items() if each}


def _core_seconds() -> float:
    """Return CPU seconds of this process and of its ended children, to the microsecond."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@contextmanager
def _pinned(cores: Sequence[int]) -> Iterator[None]:
    """Run the block on these cores, children included."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


if __name__ == "__main__":
    run_command(main)
