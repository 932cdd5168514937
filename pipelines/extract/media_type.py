"""What a response's body is: HTML, plain text, or nothing that we read; by its declared type and its first bytes."""

from __future__ import annotations

import re
from typing import Literal

PageKind = Literal["html", "text"]

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_UNSAID = frozenset(
    {"", "application/octet-stream", "application/xml", "text/xml", "text/plain", "unk", "unknown/unknown"}
)
"""Types that say little or are servers' defaults: the first bytes decide."""

_DOCUMENT_MAGIC = (b"%PDF-", b"%!PS", b"\xd0\xcf\x11\xe0", b"PK\x03\x04", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf")
_MEDIA_MAGIC = (b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"\x00\x00\x01\x00", b"RIFF", b"OggS", b"ID3", b"wOF")
_PROGRAM_MAGIC = (b"\x7fELF", b"MZ\x90", b"\xca\xfe\xba\xbe")
_BINARY_MAGIC = (*_DOCUMENT_MAGIC, *_MEDIA_MAGIC, *_PROGRAM_MAGIC)
_HTML_START = re.compile(
    rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s{0,200}(?:<\?xml[^>]{0,200}>\s{0,200})?(?:<!--[^>]{0,1000}-->\s{0,200}){0,4}"
    rb"<(?:!doctype\s{1,20}html|html|head|title|meta|body|div|table|script|p|h1)\b",
    re.IGNORECASE,
)
_WINDOW_BYTES = 4096


def may_be_page(declared: str) -> bool:
    """Whether a body of this declared type can be a page at all, before it is looked at."""
    return declared in HTML_TYPES or declared in _UNSAID


def page_kind(declared: str, body: bytes) -> PageKind | None:
    """HTML, plain text, or None for anything else."""
    if not may_be_page(declared) or body.startswith(_BINARY_MAGIC):
        return None
    if declared in HTML_TYPES:
        return "html"
    if _HTML_START.match(body[:_WINDOW_BYTES].replace(b"\0", b"")):
        return "html"
    return "text" if declared == "text/plain" else None
