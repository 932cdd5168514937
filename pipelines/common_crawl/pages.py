"""Single pages by URL, from Common Crawl's index and files into a local WARC file.

    TARGET                 the records as Common Crawl stores them, a gzip member each, in the order of the URLs
    TARGET.report.json     the URLs that were found, and the missing URLs with their reasons

Decisions:
- Of several captures, `best_capture` chooses one: status 200, the exact URL, the newest.
- A record is accepted only if it is whole, is a response to the indexed URL, and has the indexed payload digest.
- Fetching takes about two requests a page at a polite rate, so it may take hours. Finished URLs are noted in a journal
  beside the part file; the same call resumes after them.
- Two URLs with the same capture share one record.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from lm import progress, store_access
from lm.errors import AbsentError, InputError, IntegrityError
from lm.locations import is_remote, locate, workspace
from lm.storage import sha256_of
from pipelines.common_crawl.captures import Capture, best_capture, check_page_url, find_captures
from pipelines.common_crawl.listing import DATA_URL, INDEX_URL, check_crawl_name, client, file_url
from pipelines.fetch.partial_file import PartFile, part_of
from pipelines.fetch.remote_files import read_file, read_range

if TYPE_CHECKING:
    from pipelines.fetch.download import Downloader

Reason = Literal["no_address", "not_captured", "no_page", "damaged"]
"""Reasons for a missing URL: not a URL, not in the crawl, no capture of status 200, or a record that contradicts the
index.
"""

_MAX_RECORD_BYTES = 64 * 2**20
_MAX_LIST_BYTES = 2**30
_FORMAT = "loam-pages/1"


@dataclass(frozen=True, slots=True)
class MissingPage:
    """A URL that is not in the WARC file, with its reason."""

    url: str
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FetchReport:
    """The result for a list of URLs: found + missing = all, each URL once."""

    target: str
    crawl: str
    num_urls: int
    num_found: int
    num_records: int
    size_bytes: int
    sha256: str
    missing: Sequence[MissingPage] = field(default=())

    @property
    def missing_by_reason(self) -> dict[str, int]:
        """The number of missing URLs by reason."""
        return dict(sorted(Counter(page.reason for page in self.missing).items()))


def read_urls(place: str) -> list[str]:
    """Return the URLs in a file (a path or a store's URL), one a line.

    Raises:
        InputError: the file does not exist or is not UTF-8.
    """
    located = locate(place)
    try:
        content = read_file(place, _MAX_LIST_BYTES) if is_remote(located) else located.read_bytes()
        return url_lines(content.decode("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{place}: no such file, expected one URL per line") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{place}: {error}, expected one URL per line in UTF-8") from None


def url_lines(text: str) -> list[str]:
    """Return the lines that are neither empty nor comments."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def fetch_pages(
    urls: Iterable[str],
    crawl: str,
    target: Path | str,
    *,
    index_url: str = INDEX_URL,
    data_url: str = DATA_URL,
    downloader: Downloader | None = None,
    report: Callable[[Mapping[str, object]], None] | None = None,
) -> FetchReport:
    """Fetch the pages of `urls` from a crawl into the WARC file `target` (named .warc.gz), a path or a store's URL.

    A call that has already finished is not repeated. `report` gets one event a URL: `url`, `outcome`, `finished`,
    `total`.

    Raises:
        InputError: no URL is given, or the index or a file cannot be fetched; fetched records are kept for the next
        call. ConflictError: another process is writing the same target. NoSpaceError: the disk is full.
    """
    wanted = list(dict.fromkeys(url for line in urls if (url := line.strip())))
    if not wanted:
        raise InputError("no URLs, expected at least one page to fetch")
    check_crawl_name(crawl)
    place = locate(target)
    if not place.name.endswith(".warc.gz"):
        raise InputError(f"{place}: not named .warc.gz, expected the name of a WARC file to write")
    request = {"format": _FORMAT, "crawl": crawl, "index_url": index_url, "data_url": data_url, "urls": _digest(wanted)}
    done = _finished(place, request)
    if done is not None:
        return done
    here = workspace(place) / place.name if is_remote(place) else place
    with part_of(here, json.dumps(request, sort_keys=True)) as part:
        fetch = _Fetch(part, crawl, index_url, data_url, client(downloader))
        fetch.resume()
        for url in progress.track(wanted, "fetch pages", total=len(wanted), unit="page"):
            fetch.page(url)
            if report is not None:
                found = fetch.outcomes[url]
                outcome = found.reason if isinstance(found, MissingPage) else "found"
                report({"url": url, "outcome": outcome, "finished": len(fetch.outcomes), "total": len(wanted)})
        done = fetch.result(str(place), wanted)
        if here is place:
            _write_report(place, request, done)  # before the file, which is checked against it
    if here is not place:
        _upload(here, place, done)
        _write_report(place, request, done)
        shutil.rmtree(here.parent)
    fetch.journal.unlink(missing_ok=True)
    return done


class _Fetch:
    """The part file and its journal, which has a line for each finished URL."""

    def __init__(self, part: PartFile, crawl: str, index_url: str, data_url: str, downloader: Downloader) -> None:
        self.part, self.crawl, self.index_url, self.data_url = part, crawl, index_url, data_url
        self.downloader = downloader
        self.journal = part.path.with_name(part.path.name + ".journal")
        self.outcomes: dict[str, Capture | MissingPage] = {}
        self.taken: set[tuple[str, int]] = set()

    def resume(self) -> None:
        """Resume an interrupted call with the same request; discard the remains of any other."""
        if self.part.validator != _FORMAT:
            self.part.discard()
            self.part.begin(_FORMAT)
            self.journal.unlink(missing_ok=True)
        written = self.part.path.stat().st_size
        rows = [row for row in _journal_rows(self.journal) if row["size_bytes"] <= written]
        for row in rows:
            outcome = row["outcome"]
            self._note(row["url"], MissingPage(**outcome) if "reason" in outcome else Capture(**outcome))
        os.truncate(self.part.path, rows[-1]["size_bytes"] if rows else 0)
        self.journal.write_text("".join(map(_line, rows)), "utf-8")  # without a line that a kill cut off

    def page(self, url: str) -> None:
        """Fetch one page, unless it is done, and note the outcome."""
        if url in self.outcomes:
            return
        outcome, record = self._find(url)
        with self.part.path.open("ab") as stream:
            stream.write(record)
            stream.flush()
            os.fsync(stream.fileno())
            size_bytes = stream.tell()
        with self.journal.open("a", encoding="utf-8") as lines:
            lines.write(_line({"url": url, "size_bytes": size_bytes, "outcome": asdict(outcome)}))
        self._note(url, outcome)

    def result(self, target: str, urls: Sequence[str]) -> FetchReport:
        """Return the report of a finished fetch."""
        missing = [outcome for url in urls if isinstance(outcome := self.outcomes[url], MissingPage)]
        return FetchReport(
            target=target,
            crawl=self.crawl,
            num_urls=len(urls),
            num_found=len(urls) - len(missing),
            num_records=len(self.taken),
            size_bytes=self.part.path.stat().st_size,
            sha256=sha256_of(self.part.path),
            missing=missing,
        )

    def _note(self, url: str, outcome: Capture | MissingPage) -> None:
        self.outcomes[url] = outcome
        if isinstance(outcome, Capture):
            self.taken.add((outcome.filename, outcome.offset))

    def _find(self, url: str) -> tuple[Capture | MissingPage, bytes]:
        """Return the capture of a URL and its record, which is empty if another URL shares the capture."""
        try:
            check_page_url(url)
            if "*" in url:
                raise InputError("a pattern, expected the address of one page")
        except InputError as error:
            return MissingPage(url, "no_address", str(error)), b""
        from pipelines.fetch.download import RefusedError

        captures = find_captures(url, self.crawl, index_url=self.index_url, downloader=self.downloader)
        capture = best_capture(captures, url)
        if capture is None:
            statuses = sorted({str(each.status) for each in captures})
            return MissingPage(url, "no_page" if captures else "not_captured", ", ".join(statuses)), b""
        if (capture.filename, capture.offset) in self.taken:
            return capture, b""
        if capture.length > _MAX_RECORD_BYTES:
            return MissingPage(url, "damaged", f"{capture.length} bytes, the limit is {_MAX_RECORD_BYTES}"), b""
        address = file_url(capture.filename, self.data_url)
        try:
            record = read_range(address, capture.offset, capture.length, self.downloader)
        except RefusedError as error:
            return MissingPage(url, "damaged", str(error)), b""
        fault = record_fault(record, capture)
        return (capture, record) if fault is None else (MissingPage(url, "damaged", fault), b"")


def record_fault(stored: bytes, capture: Capture) -> str | None:
    """Return the reason why the stored bytes are not the record of a capture; None where they are."""
    from pipelines.warc.records import Loss, read_records

    with TemporaryDirectory(prefix="loam-") as folder:
        path = Path(folder) / "record.warc.gz"
        path.write_bytes(stored)
        try:
            records = list(read_records(path))
        except InputError:
            return "not a WARC record"
    if len(records) != 1:
        return f"{len(records)} records, expected one"
    (record,) = records
    if isinstance(record, Loss):
        return f"{record.reason}: {record.detail}"
    if record.type != "response" or record.target_uri != capture.url:
        return f"a {record.type} of {record.target_uri}, expected the response of {capture.url}"
    digest = record.headers.get("warc-payload-digest", "").rpartition(":")[2]
    if digest and capture.digest and digest != capture.digest:
        return f"payload digest {digest}, expected {capture.digest}"
    return None


def _digest(urls: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(urls).encode()).hexdigest()


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _journal_rows(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a journal, without a last line that was cut off."""
    try:
        lines = path.read_text("utf-8").split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


def _report_path(place: Path) -> Path:
    return place.with_name(f"{place.name}.report.json")


def _finished(place: Path, request: Mapping[str, str]) -> FetchReport | None:
    """Return the report of an earlier call with the same request, if the reported file is unchanged."""
    try:
        told = json.loads(store_access.request(place, _report_path(place).read_bytes))
        facts = told["report"]
        if told["request"] != request or store_access.request(place, place.stat).st_size != facts["size_bytes"]:
            return None
        if not is_remote(place) and sha256_of(place) != facts["sha256"]:
            return None
        missing = [MissingPage(**page) for page in facts.pop("missing")]
        return FetchReport(**facts, target=str(place), missing=missing)
    except (AbsentError, ValueError, KeyError, TypeError):
        return None


def _upload(here: Path, place: Path, found: FetchReport) -> None:
    stored: Any = place

    def upload() -> int:
        stored.fs.put_file(str(here), stored.path)
        return int(stored.fs.info(stored.path)["size"])

    if store_access.request(place, upload) != found.size_bytes:
        raise IntegrityError(f"{place}: not whole after its upload")


def _write_report(place: Path, request: Mapping[str, str], found: FetchReport) -> None:
    facts = asdict(found)
    del facts["target"]  # it may be moved, together with its report
    told = json.dumps({"request": request, "report": facts}, indent=1, ensure_ascii=False) + "\n"
    store_access.request(place, lambda: _report_path(place).write_bytes(told.encode()))
