"""The records of WARC and WET files that may hold a page, in the form that extraction reads.

A `response` holds a capture; a `resource`, and a `response` that says so, a page without HTTP headers; a `conversion`
the text of one.
"""

from __future__ import annotations

import re

from pipelines.extract.charset import decode_text
from pipelines.extract.content_type import parse_content_type
from pipelines.extract.html import normalise_lines
from pipelines.extract.http_response import parse_head
from pipelines.extract.media_type import HTML_TYPES, is_binary, may_be_page
from pipelines.extract.page_text import PageText, judge_text
from pipelines.warc.records import WarcRecord

_WEB_ADDRESS = re.compile(r"(?:urn:text[A-Za-z]*:)?((?:https?|ftp)://.+)", re.IGNORECASE)
"""The address of a page, also where a browser crawler stored the page's text under it."""
_BARE_PAGES = HTML_TYPES | {"text/plain"}
"""Types of a `response` record that say that its block may be the page itself, without HTTP headers."""


def page_address(record: WarcRecord) -> str | None:
    """Return the address of the page in a record; None where its address is not one of the web."""
    found = _WEB_ADDRESS.fullmatch(record.target_uri)
    return found[1] if found else None


def response_of(record: WarcRecord) -> bytes | None:
    """Return the HTTP response in a record; of a page without HTTP headers, one made of its type and block; else
    None.
    """
    if record.type not in ("response", "resource"):
        return None
    content_type = record.headers.get("content-type", "")
    essence = parse_content_type(content_type).essence
    if record.type == "response" and (essence not in _BARE_PAGES or parse_head(record.block) is not None):
        return record.block
    if page_address(record) is None:
        return None
    if essence == "application/http":
        return record.block
    if not may_be_page(essence):
        return None
    return b"HTTP/1.1 200 OK\r\nContent-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n" + record.block


def converted_text(record: WarcRecord, max_replaced_share: float) -> PageText:
    """Return the text of a `conversion` record, which is in UTF-8 unless its type names another charset."""
    declared = parse_content_type(record.headers.get("content-type", "text/plain"))
    if declared.essence != "text/plain" or is_binary(record.block):
        return PageText(rule="content_type")
    text, charset = decode_text(record.block, declared.charset or "utf-8")
    said_by = "utf-8" if charset == "http" and declared.charset is None else charset
    return judge_text(normalise_lines(text), said_by, max_replaced_share)
