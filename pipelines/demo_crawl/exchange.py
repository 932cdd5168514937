"""A page as the records of its visit: the request, the response with the site's HTML, and metadata about both."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from pipelines.demo_crawl.dice import Dice, derived_uuid
from pipelines.demo_crawl.markup import render
from pipelines.demo_crawl.pages import Page
from pipelines.demo_crawl.records import (
    chunked,
    fields_of,
    gzip_member,
    http_message,
    sha1_digest,
    spoiled_member,
    warc_record,
)

START = datetime(2026, 1, 5, 8, 0, 0, tzinfo=UTC)
SECONDS_BETWEEN_PAGES = 2

GZIP_SHARE, CHUNKED_SHARE, LATIN_SHARE = 0.10, 0.08, 0.25
"""Shares of responses with a compressed body, of responses in chunks, and, of pages that Latin-1 can write, of those
that say so and do."""


def warcinfo(seed: int, file_name: str, file_number: int, first_index: int) -> bytes:
    """Return the gzip member that opens a file."""
    block = fields_of(
        {
            "software": "loam demo crawl",
            "format": "WARC File Format 1.1",
            "isPartOf": "demo",
            "description": f"seed {seed}",
        }
    )
    record_id = str(derived_uuid(seed, "warcinfo", file_number))
    fields = {"WARC-Filename": file_name}
    return gzip_member(
        warc_record("warcinfo", record_id, date_of(first_index), "application/warc-fields", block, fields)
    )


def exchange(page: Page, seed: int, file_number: int) -> list[bytes]:
    """Return the gzip members of a page's visit, the damage of its plan done to them."""
    dice = Dice(seed, "exchange", page.index)
    shared = {
        "WARC-Warcinfo-ID": f"<urn:uuid:{derived_uuid(seed, 'warcinfo', file_number)}>",
        "WARC-Target-URI": page.url,
    }
    request_id, response_id = str(derived_uuid(seed, "request", page.index)), page.doc_id
    date, address = date_of(page.index), f"203.0.113.{dice.between(1, 254)}"
    response_to = {**shared, "WARC-Concurrent-To": f"<urn:uuid:{response_id}>"}
    request = warc_record(
        "request",
        request_id,
        date,
        "application/http; msgtype=request",
        _request(page),
        {**response_to, "WARC-IP-Address": address},
    )
    fetch = fields_of({"fetchTimeMs": str(dice.between(40, 900)), "charset-detected": "UTF-8"})
    metadata_id = str(derived_uuid(seed, "metadata", page.index))
    metadata = warc_record("metadata", metadata_id, date, "application/warc-fields", fetch, response_to)
    answer = _response(
        page, date, {**shared, "WARC-Concurrent-To": f"<urn:uuid:{request_id}>", "WARC-IP-Address": address}, dice
    )
    if page.damage == "truncated":
        return [gzip_member(request), answer[: len(answer) * 3 // 5]]
    return [gzip_member(request), answer, gzip_member(metadata)]


def date_of(index: int) -> str:
    """Return the WARC-Date of a page."""
    return (START + timedelta(seconds=SECONDS_BETWEEN_PAGES * index)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _request(page: Page) -> bytes:
    path = page.url.removeprefix(f"https://{page.site.host}")
    headers = (
        ("Host", page.site.host),
        ("User-Agent", "loam-demo-crawl/1.1 (+https://example.org/bot)"),
        ("Accept", "text/html"),
        ("Accept-Encoding", "gzip"),
    )
    return http_message(f"GET {path} HTTP/1.1", headers)


def _response(page: Page, date: str, fields: Mapping[str, str], dice: Dice) -> bytes:
    """Return the response record as a gzip member, damaged where the plan says so."""
    payload, headers = _payload(page, dice)
    content, transfer = payload, [("Content-Length", str(len(payload)))]
    if dice.chance(CHUNKED_SHARE):
        content, transfer = chunked(payload, dice.between(600, 3000)), [("Transfer-Encoding", "chunked")]
    block = http_message(
        "HTTP/1.1 200 OK", (("Date", _http_date(page.index)), ("Server", "nginx"), *headers, *transfer), content
    )
    fields = {**fields, "WARC-Payload-Digest": sha1_digest(content), "WARC-Identified-Payload-Type": "text/html"}
    if page.damage == "bad_digest":
        fields["WARC-Block-Digest"] = sha1_digest(block + b"\n")
    if page.damage == "bad_length":
        fields["Content-Length"] = str(len(block) - dice.between(40, len(block) // 2))
    member = gzip_member(
        warc_record("response", page.doc_id, date, "application/http; msgtype=response", block, fields)
    )
    return spoiled_member(member) if page.damage == "bad_gzip" else member


def _payload(page: Page, dice: Dice) -> tuple[bytes, list[tuple[str, str]]]:
    """Return the entity body and the headers that describe it."""
    encoding, in_header, in_page = _charsets(page, dice)
    payload = render(page.body, page.site, in_page, dice).encode(encoding, "xmlcharrefreplace")
    headers = [("Content-Type", f"text/html; charset={in_header}" if in_header else "text/html")]
    if dice.chance(GZIP_SHARE):
        return gzip.compress(payload, mtime=0), [*headers, ("Content-Encoding", "gzip")]
    return payload, headers


def _charsets(page: Page, dice: Dice) -> tuple[str, str, str]:
    """Return the page's encoding, the charset in the HTTP header and the charset in the page; the three agree unless
    the plan declares a wrong one.
    """
    if page.damage == "wrong_charset":
        return dice.pick(
            (("windows-1252", "utf-8", "utf-8"), ("utf-8", "iso-8859-1", "utf-8"), ("windows-1252", "", "utf-8"))
        )
    if page.body.language != "en" and dice.chance(LATIN_SHARE):
        return "iso-8859-1", "iso-8859-1", "iso-8859-1"
    return "utf-8", dice.pick(("utf-8", "UTF-8", "")), "utf-8"


def _http_date(index: int) -> str:
    return format_datetime(START + timedelta(seconds=SECONDS_BETWEEN_PAGES * index), usegmt=True)
