"""Writer of a demo crawl: WARC files, ground truth, and data for classifiers and alignment."""

from __future__ import annotations

import errno
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lm import storage
from lm.configuration import to_mapping
from lm.errors import InputError, no_space
from lm.progress import track
from lm.storage import Artifact, Publication
from pipelines.demo_crawl.configuration import HARMFUL_LABELS, QUALITY_LABELS, TRUTH, DemoCrawlConfig
from pipelines.demo_crawl.exchange import exchange, warcinfo
from pipelines.demo_crawl.labels import harmful_labels, quality_labels
from pipelines.demo_crawl.pages import Page, make_page
from pipelines.demo_crawl.plan import Plan, make_plan, page_range
from pipelines.demo_crawl.tasks import alignment_records
from pipelines.demo_crawl.truth import TRUTH_SCHEMA, truth_row

_ROWS_PER_GROUP = 1_000
_PAGES_PER_REPORT = 500

Report = Callable[[Mapping[str, object]], None]


def write_demo_crawl(config: DemoCrawlConfig, folder: Path, report: Report | None = None) -> dict[str, Any]:
    """Write a crawl into `folder`, which is created if needed, and return its counts.

    Memory does not grow with the number of pages, except for the plan: a few dozen bytes per page.

    Raises:
        InputError: `folder` is a file, or is not empty.
        NoSpaceError: the disk is full.
    """
    refuse_folder_in_use(folder)
    try:
        (folder / "warc").mkdir(parents=True, exist_ok=True)
        counts = _write_pages(config, folder, report)
        counts |= _write_json_lines(folder, _records(config))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise no_space(folder) from error
        raise
    return counts


def publish_demo_crawl(config: DemoCrawlConfig, target: Path, report: Report | None = None) -> Artifact:
    """Publish a crawl as the artifact `target`, unless it is there already.

    Raises:
        NoSpaceError: the disk is full.
    """

    def write(publication: Publication) -> None:
        publication.summary.update(write_demo_crawl(config, publication.path, report))

    return storage.make(target, write, kind="demo_crawl", config=to_mapping(config), inputs={})


def refuse_folder_in_use(folder: Path) -> None:
    """Raise InputError where `folder` is a file, or is not empty."""
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder}: not empty, expected an empty or a new folder")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file, expected an empty or a new folder")


def _write_pages(config: DemoCrawlConfig, folder: Path, report: Report | None) -> dict[str, Any]:
    """Write all WARC files and the truth in one pass over the pages, and return the summary counts."""
    plan, counts, rows = make_plan(config), _Counts(), []
    pages = iter(track(_all_pages(config, plan), "demo crawl", total=config.num_pages, unit="page"))
    with pq.ParquetWriter(folder / TRUTH, TRUTH_SCHEMA, compression="zstd") as truth:
        for number in range(config.num_warc_files):
            name = f"demo-{number:05d}.warc.gz"
            indices = page_range(config, number)
            with (folder / "warc" / name).open("wb") as warc:
                counts.add_bytes(warc.write(warcinfo(config.seed, name, number, indices.start)))
                for _ in indices:
                    page = next(pages)
                    counts.add_bytes(warc.write(b"".join(exchange(page, config.seed, number))))
                    rows.append(truth_row(page, name))
                    counts.add_page(page)
                    if len(rows) == _ROWS_PER_GROUP:
                        truth.write_table(pa.Table.from_pylist(rows, TRUTH_SCHEMA))
                        rows.clear()
                    if report is not None and (page.index + 1) % _PAGES_PER_REPORT == 0:
                        report({"num_pages": page.index + 1, "warc_bytes": counts.num_bytes})
        if rows:
            truth.write_table(pa.Table.from_pylist(rows, TRUTH_SCHEMA))
    next(pages, None)  # lets the bar end
    return counts.summary(config)


def _all_pages(config: DemoCrawlConfig, plan: Plan) -> Iterator[Page]:
    return (make_page(index, config, plan) for index in range(config.num_pages))


class _Counts:
    """Deterministic counts of what was written."""

    def __init__(self) -> None:
        self.num_bytes = 0
        self._by: dict[str, Counter[str]] = {
            name: Counter() for name in ("world", "language", "quality", "harmful", "damage", "duplicates")
        }
        self._num_pii_pages = 0

    def add_bytes(self, number: int) -> None:
        self.num_bytes += number

    def add_page(self, page: Page) -> None:
        body = page.body
        for name, value in (
            ("world", page.world),
            ("language", body.language),
            ("quality", body.quality),
            ("damage", page.damage),
        ):
            self._by[name][value] += 1
        self._by["harmful"].update(body.harmful)
        self._by["duplicates"].update([page.duplicate_kind] if page.duplicate_kind else [])
        self._num_pii_pages += bool(body.pii)

    def summary(self, config: DemoCrawlConfig) -> dict[str, Any]:
        counted = {f"num_pages_by_{name}": dict(sorted(counter.items())) for name, counter in self._by.items()}
        sizes = {"num_pages": config.num_pages, "num_warc_files": config.num_warc_files, "warc_bytes": self.num_bytes}
        return {**sizes, "num_pages_with_pii": self._num_pii_pages, **counted}


def _records(config: DemoCrawlConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from alignment_records(config)
    yield from ((HARMFUL_LABELS, label) for label in harmful_labels(config))
    yield from ((QUALITY_LABELS, label) for label in quality_labels(config))


def _write_json_lines(folder: Path, records: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, int]:
    """Write records that come file by file, and count them."""
    counts: Counter[str] = Counter()
    with_name: dict[str, Any] = {}
    try:
        for name, record in records:
            if name not in with_name:
                with_name[name] = (folder / name).open("w", encoding="utf-8", newline="\n")
            with_name[name].write(json.dumps(record, ensure_ascii=False) + "\n")
            counts[f"num_{name.removesuffix('.jsonl')}"] += 1
    finally:
        for file in with_name.values():
            file.close()
    return dict(counts)
