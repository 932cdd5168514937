"""Speed of reading and checking WARC records, against fastwarc with and without digests; one core, real HTML."""

from __future__ import annotations

import gzip
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from fastwarc.warc import ArchiveIterator

from benchmarks.report import Row, finish, parser, timed
from benchmarks.web.pages import true_pages, write_warc
from lm.errors import run_command
from lm.progress import track
from pipelines.warc.records import Loss, read_records

MIB = 2**20
MIN_RATIO = 0.75
"""Of a loop that checks the same digests; what is left pays for lengths, checksums, offsets and accounts."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("warc_reading", (__doc__ or "").strip())
    options.add_argument("--copies", type=int, default=4, metavar="N", help="varied copies of each page (default: 4)")
    options.add_argument("--repeats", type=int, default=9, metavar="N", help="rounds; the median counts (default: 9)")
    arguments = options.parse_args(argv)
    pages = true_pages()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="loam-warc-") as name:
        stored = Path(name) / "pages.warc.gz"
        if pages:
            write_warc(stored, pages, arguments.copies, seed=0)
        for form, write in _FORMS.items():
            path = Path(name) / f"pages.{form}"
            if pages:
                path.write_bytes(write(stored))
            rows += _measure(form, path if pages else None, arguments.repeats)
    return finish("warc_reading", rows, arguments)


def _measure(form: str, path: Path | None, repeats: int) -> list[Row]:
    names = [f"{form}, records read and checked", f"{form}, fastwarc alone"]
    if path is None:
        return [Row(name=name, value=None, unit="MiB/s") for name in names]
    works: dict[str, Callable[[Path], int]] = {"ours": _ours, "fastwarc": _fastwarc, "digests": _fastwarc_and_digests}
    size_mib = _ours(path) / MIB
    if any(work(path) / MIB != size_mib for work in works.values()):
        raise AssertionError(f"{form}: the readers differ in what they read")
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in track(range(repeats), form, total=repeats, unit="round"):
        for name, work in works.items():
            seconds[name].append(timed(lambda run=work: run(path), time.process_time))  # type: ignore[misc]
    median = {name: statistics.median(each) for name, each in seconds.items()}
    return [
        Row(
            name=names[0],
            value=size_mib / median["ours"],
            unit="MiB/s",
            peer="fastwarc, the same digests compared",
            ratio=median["digests"] / median["ours"],
            target=MIN_RATIO,
        ),
        Row(
            name=names[1],
            value=size_mib / median["fastwarc"],
            unit="MiB/s",
            peer="Loam's reader",
            ratio=median["ours"] / median["fastwarc"],
        ),
    ]


def _ours(path: Path) -> int:
    return sum(0 if isinstance(record, Loss) else len(record.block) for record in read_records(path))


def _fastwarc(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(len(record.reader.read()) for record in ArchiveIterator(stream, parse_http=False))


def _fastwarc_and_digests(path: Path) -> int:
    size_bytes = 0
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, parse_http=False):
            block = record.reader.read()
            if record.headers.get("WARC-Block-Digest"):
                hashlib.sha1(block, usedforsecurity=False).digest()
            size_bytes += len(block)
    return size_bytes


def _plain(stored: Path) -> bytes:
    return gzip.decompress(stored.read_bytes())


def _lz4(stored: Path) -> bytes:
    """Return one LZ4 frame per record, as crawlers write them."""
    with stored.open("rb") as stream:
        starts = [record.stream_pos for record in ArchiveIterator(stream, parse_http=False)]
    content = stored.read_bytes()
    spans = zip(starts, [*starts[1:], len(content)], strict=True)
    return b"".join(_lz4_frame(gzip.decompress(content[start:end])) for start, end in spans)


def _lz4_frame(record: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as frame:
        frame.write(record)
    stored: bytes = sink.getvalue().to_pybytes()
    return stored


_FORMS: dict[str, Callable[[Path], bytes]] = {"gzip": Path.read_bytes, "lz4": _lz4, "plain": _plain}


if __name__ == "__main__":
    run_command(main)
