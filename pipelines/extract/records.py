"""Extraction of documents from WARC and WET records, the first stage of the curation.

    in = kept + removed + lost, over the records that can hold a page; all others are counted as skipped

A `response` record holds a capture, a `conversion` its text (WET), a `resource` a page without HTTP headers: one of a
web address, in HTML or plain text.

A record that cannot be read is lost (see `pipelines.warc.records`). A record that is read but is not a page with text
is removed:

    http_status       the status is not 200                 encoding       too many characters are U+FFFD
    content_type      neither HTML nor plain text           empty          no text is left
    bad_http          no HTTP response in a response        timeout, out_of_memory, crashed, failed
    content_encoding  the body does not decode                             by the failure of its `sandbox`
    too_large         it decodes to more than the limit

Decisions:
- Rows are in file order, whatever the number of children that parse, so the same files give the same bytes.
- A WARC-Record-ID that is not a UUID, or comes a second time, gives an id derived from it (UUID version 5).
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import pyarrow as pa

from lm import progress
from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError
from pipelines.documents.schema import DOCUMENT_SCHEMA, EXTRACTION_REMOVAL_SCHEMA, LOSS_SCHEMA, is_doc_id
from pipelines.executor.memory import keep_freed_memory
from pipelines.extract.http_response import parse_head
from pipelines.extract.media_type import may_be_page
from pipelines.extract.page_records import converted_text, page_address, response_of
from pipelines.extract.page_text import PageText, pack, unpack
from pipelines.extract.sandbox import Guard, GuardLimits, Outcome
from pipelines.sources.warc_groups import WarcFile
from pipelines.warc.records import Loss, WarcLimits, WarcRecord, read_records

STAGE = "extract"

_BATCH_CHARACTERS = 1 << 25
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """Limits on records and pages, and on undecodable characters."""

    max_record_bytes: Annotated[int, Doc("Maximum size of a record; larger records are dropped."), Range(1_024)] = (
        16 * 2**20
    )
    max_body_bytes: Annotated[int, Doc("Maximum size of a decoded page; larger pages are dropped."), Range(1)] = (
        16 * 2**20
    )
    timeout_s: Annotated[
        float,
        Doc("Maximum CPU seconds per page; slower pages are dropped, and the run continues."),
        Range(above=0, most=3_600),
    ] = 5.0
    max_memory_bytes: Annotated[int, Doc("Maximum memory per page."), Range(2**26)] = 2**30
    max_replaced_share: Annotated[
        float, Doc("Maximum share of undecodable characters; pages above this share are dropped."), Range(0, 1)
    ] = 0.05
    min_site_pages: Annotated[
        int,
        Doc(
            "A leading or trailing line is removed if at least this many pages, and a fifth of all pages, of its site "
            "have it. 0 keeps all lines."
        ),
        Range(0),
    ] = 3
    batch_documents: Annotated[int, Doc("Records per batch."), Range(1)] = 1024

    def __post_init__(self) -> None:
        settle(self, "extract")
        if self.min_site_pages == 1:
            raise ConfigurationError(f"extract.min_site_pages: {self.min_site_pages}, expected 0, or 2 or more")

    def warc_limits(self) -> WarcLimits:
        """Return the limits on a stored record."""
        return WarcLimits(max_record_bytes=self.max_record_bytes)

    def guard_limits(self) -> GuardLimits:
        """Return the limits on the parsing of one page."""
        return GuardLimits(timeout_s=self.timeout_s, max_memory_bytes=self.max_memory_bytes)


@dataclass(frozen=True, slots=True)
class ExtractBatch:
    """A batch of output: documents, removals, losses and counts.

    `counts`: `num_records` = `num_kept` + `num_removed` + `num_lost`; `num_skipped` records that hold no page;
    `num_repeated_ids`; `num_payload_digests` of records whose block digest is their body's; `charset_<outcome>` pages
    by the word by which they were decoded; `reading_<outcome>` pages by how their main content was read.
    """

    documents: pa.RecordBatch
    removed: pa.RecordBatch
    losses: pa.RecordBatch
    counts: Mapping[str, int]


def extract_warc_files(
    files: Sequence[WarcFile], crawl: str, config: ExtractConfig | None = None, *, num_workers: int = 1
) -> Iterator[ExtractBatch]:
    """Read one partition's files and yield its documents, removals and losses in file order.

    `num_workers` children parse; their number does not change the output.

    Raises:
        InputError: a file is missing, empty, or not a WARC file.
    """
    keep_freed_memory()
    config = config or ExtractConfig()
    settings = {"max_body_bytes": config.max_body_bytes, "max_replaced_share": config.max_replaced_share}
    with Guard("pipelines.extract.page_text:extractor", settings, config.guard_limits(), num_workers) as guard:
        yield from _Extraction(crawl, config).batches(files, guard)


def document_id(record_id: str) -> str:
    """Return the UUID in a WARC-Record-ID such as `<urn:uuid:…>`; one derived from it where it holds none."""
    bare = record_id.strip("<> ").lower().removeprefix("urn:uuid:")
    return bare if is_doc_id(bare) else str(uuid.uuid5(uuid.NAMESPACE_URL, record_id))


@dataclass(slots=True)
class _Rows:
    """The rows of the batch that is being filled."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    removed: list[dict[str, Any]] = field(default_factory=list)
    losses: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    num_characters: int = 0

    def batch(self) -> ExtractBatch:
        return ExtractBatch(
            documents=pa.RecordBatch.from_pylist(self.documents, schema=DOCUMENT_SCHEMA),
            removed=pa.RecordBatch.from_pylist(self.removed, schema=EXTRACTION_REMOVAL_SCHEMA),
            losses=pa.RecordBatch.from_pylist(self.losses, schema=LOSS_SCHEMA),
            counts=dict(sorted(self.counts.items())),
        )


@dataclass(frozen=True, slots=True)
class _Source:
    """The source of a record: the columns of a document without its text."""

    doc_id: str
    url: str
    warc_path: str
    warc_offset: int
    fetched_at: str
    is_payload_digest: bool


class _Extraction:
    """One pass over a partition. Everything that was read goes through the guard in its turn, which keeps the order."""

    def __init__(self, crawl: str, config: ExtractConfig) -> None:
        self._crawl = crawl
        self._config = config
        self._seen: set[str] = set()
        self._under_way: deque[_Source | Loss | None] = deque()

    def batches(self, files: Sequence[WarcFile], guard: Guard) -> Iterator[ExtractBatch]:
        rows = _Rows()
        for outcome in guard.map(self._read(files)):
            self._account(self._under_way.popleft(), outcome, rows)
            num_rows = len(rows.documents) + len(rows.removed) + len(rows.losses)
            if num_rows >= self._config.batch_documents or rows.num_characters >= _BATCH_CHARACTERS:
                yield rows.batch()
                rows = _Rows()
        if rows.counts:
            yield rows.batch()

    def _read(self, files: Sequence[WarcFile]) -> Iterator[bytes | Outcome]:
        """Yield the responses that a child must parse, and in place of all other records what is known of them
        already.
        """
        with progress.bar("extract", total=sum(file.size_bytes for file in files), unit="B") as bar:
            for file in files:
                position = 0
                for record in read_records(file.path, limits=self._config.warc_limits(), name=file.name):
                    bar.update(record.offset - position)
                    position = record.offset
                    yield self._request(record, file.name)
                bar.update(file.size_bytes - position)

    def _request(self, record: WarcRecord | Loss, name: str) -> bytes | Outcome:
        """Note what is under way, and say what a child must do for it, if anything."""
        if isinstance(record, Loss):
            self._under_way.append(record)
            return Outcome(None)
        response = response_of(record)
        if response is None and record.type != "conversion":
            self._under_way.append(None)
            return Outcome(None)
        self._under_way.append(_source_of(record, name))
        if response is None:
            return Outcome(pack(converted_text(record, self._config.max_replaced_share)))
        head = parse_head(response)
        if head is None:
            return Outcome(pack(PageText(rule="bad_http")))
        if head.status != 200:
            return Outcome(pack(PageText(rule="http_status", value=head.status, threshold=200)))
        if not may_be_page(head.media_type):
            return Outcome(pack(PageText(rule="content_type")))
        return response

    def _account(self, entry: _Source | Loss | None, outcome: Outcome, rows: _Rows) -> None:
        if entry is None:
            rows.counts["num_skipped"] += 1
            return
        rows.counts["num_records"] += 1
        if isinstance(entry, Loss):
            rows.counts["num_lost"] += 1
            rows.losses.append(asdict(entry))
            return
        page = PageText(rule=str(outcome.failure)) if outcome.value is None else unpack(outcome.value)
        if outcome.failure:
            _log.warning("%s at %s+%d: %s, %s", *_place(entry), outcome.failure, outcome.detail)
        if page.charset:
            rows.counts[f"charset_{page.charset}"] += 1
        if page.reading:
            rows.counts[f"reading_{page.reading}"] += 1
        if entry.is_payload_digest:
            rows.counts["num_payload_digests"] += 1
        doc_id = self._unique(entry, rows)
        if page.rule:
            rows.counts["num_removed"] += 1
            rows.removed.append(self._removal(doc_id, entry, page))
        else:
            rows.counts["num_kept"] += 1
            rows.num_characters += len(page.text)
            rows.documents.append(self._document(doc_id, entry, page.text))

    def _document(self, doc_id: str, source: _Source, text: str) -> dict[str, Any]:
        return {"doc_id": doc_id, "url": source.url, "text": text, **self._place(source)}

    def _removal(self, doc_id: str, source: _Source, page: PageText) -> dict[str, Any]:
        return {
            "doc_id": doc_id,
            "url": source.url,
            "stage": STAGE,
            "rule": page.rule,
            "value": page.value,
            "threshold": page.threshold,
            "duplicate_of": None,
            "words": page.words or None,
            **self._place(source),
        }

    def _place(self, source: _Source) -> dict[str, Any]:
        return {
            "crawl": self._crawl,
            "warc_path": source.warc_path,
            "warc_offset": source.warc_offset,
            "fetched_at": source.fetched_at,
        }

    def _unique(self, source: _Source, rows: _Rows) -> str:
        """Return the document's id, or where another record of the partition has it, one derived from it and the
        place.
        """
        doc_id = source.doc_id
        while doc_id in self._seen:
            rows.counts["num_repeated_ids"] += 1
            doc_id = str(uuid.uuid5(uuid.UUID(doc_id), f"{source.warc_path}+{source.warc_offset}"))
        self._seen.add(doc_id)
        return doc_id


def _source_of(record: WarcRecord, name: str) -> _Source:
    return _Source(
        doc_id=document_id(record.record_id),
        url=page_address(record) or record.target_uri,
        warc_path=name,
        warc_offset=record.offset,
        fetched_at=record.date,
        is_payload_digest=record.digest_covers == "payload",
    )


def _place(source: _Source) -> tuple[str, str, int]:
    return source.doc_id, source.warc_path, source.warc_offset
