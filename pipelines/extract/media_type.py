"""Media type of a response body by its declared type and first bytes: HTML, plain text, or neither.

Decisions, after the MIME Sniffing Standard (sections 5 to 7):
- Without a type that says anything, the first bytes decide: the beginnings of HTML that browsers know, else text where
  no byte is one that only binary data has.
- A body that is called text and holds such a byte is binary. HTML may hold stray ones, since real pages do, but not in
  the density of compressed data.

Beyond the standard: text/plain, XML and application/octet-stream are servers' defaults, so a body of these types that
begins as a whole document does is HTML.
"""

from __future__ import annotations

import re
from typing import Literal

PageKind = Literal["html", "text"]

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"})
_UNKNOWN = frozenset(
    {"", "*/*", "unknown/unknown", "application/unknown", "application/x-unknown-content-type", "unk", "text/*"}
)
"""Types without information; `unk` is Common Crawl's."""
_DEFAULTS = frozenset({"application/octet-stream", "application/xml", "text/xml", "text/plain"})

_DOCUMENT_MAGIC = (b"%PDF-", b"%!PS", b"\xd0\xcf\x11\xe0", b"PK\x03\x04", b"\x1f\x8b", b"\x1f\x9d", b"7z\xbc\xaf")
_MORE_MAGIC = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"\x28\xb5\x2f\xfd",
    b"\xfd7zXZ",
    b"BZh91AY&SY",
    b"\x7fELF",
    b"\xca\xfe\xba\xbe",
)
_BINARY_MAGIC = (*_DOCUMENT_MAGIC, *_MORE_MAGIC)
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_BINARY_BYTES = bytes({*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)})
_RESOURCE_HEADER_BYTES = 1445
_MAX_BINARY_SHARE = 0.03

_BEFORE = rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?+\s*+(?:<\?xml[^>]*+>\s*+)?+"
_COMMENTS = rb"(?:<!--(?:[^-]|-(?!->))*+-->\s*+)*+"
_DOCUMENT_START = re.compile(
    _BEFORE + _COMMENTS + rb"<(?:!doctype\s++html|html|head|title|meta|body|div|table|script|p|h1)\b", re.IGNORECASE
)
_PAGE_START = re.compile(
    _BEFORE + rb"<(?:!--|(?:!doctype\s++html|html|head|script|iframe|h[1-6]|div|font|table|a|style|title|b|body|br|p"
    rb"|meta|link|base|center|span|i|img|form|ul|ol|hr|strong|em|main|article|section|header|nav|noscript)[\s>/])",
    re.IGNORECASE,
)
_WINDOW_BYTES = 4096


def may_be_page(declared: str) -> bool:
    """Return whether a body of this declared type can be a page at all, before it is looked at."""
    return declared in HTML_TYPES or declared in _DEFAULTS or declared in _UNKNOWN


def page_kind(declared: str, body: bytes) -> PageKind | None:
    """Return the kind of a page: HTML, plain text, or None for anything else."""
    if not may_be_page(declared) or body.startswith(_BINARY_MAGIC):
        return None
    if declared in HTML_TYPES:
        return None if _is_dense_binary(body) else "html"
    start = body[:_WINDOW_BYTES].replace(b"\0", b"")
    if _DOCUMENT_START.match(start) or (declared in _UNKNOWN and _PAGE_START.match(start)):
        return None if _is_dense_binary(body) else "html"
    is_text = declared == "text/plain" or (declared in _UNKNOWN and not start.lstrip().startswith(b"<"))
    return "text" if is_text and not is_binary(body) else None


def begins_as_page(body: bytes) -> bool:
    """Return whether the body begins as HTML does, in ASCII or UTF-16."""
    return _PAGE_START.match(body[:_WINDOW_BYTES].replace(b"\0", b"")) is not None


def is_binary(body: bytes) -> bool:
    """Return whether one of the first bytes is one that no text has; never after a byte order mark."""
    return not body.startswith(_MARKS) and _num_binary(body) > 0


def _is_dense_binary(body: bytes) -> bool:
    window = min(len(body), _RESOURCE_HEADER_BYTES)
    return not body.startswith(_MARKS) and _num_binary(body) > max(1, _MAX_BINARY_SHARE * window)


def _num_binary(body: bytes) -> int:
    window = body[:_RESOURCE_HEADER_BYTES]
    if max(window[0::2].count(0), window[1::2].count(0)) * 4 >= len(window):  # UTF-16: see pipelines.extract.charset
        window = window.replace(b"\0", b"")
    return len(window) - len(window.translate(None, _BINARY_BYTES))
