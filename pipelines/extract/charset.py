"""Bytes of a page to text: which charset it is in, and by whose word.

The chain: byte order mark, HTTP header, `<meta>`, UTF-8, detection; each is taken only where all bytes decode by it.
The mark comes first, as the WHATWG Encoding Standard has it, since it is part of the page and never set by a careless
server. Three things go beyond the standard's chain:

- Bytes beyond ASCII that are valid UTF-8 overrule a declared single-byte charset: text in such a charset almost never
  is valid UTF-8, and servers that declare ISO-8859-1 for everything are many.
- A page full of NUL bytes is UTF-16 without a mark, whatever was declared.
- A multi-byte page with a few wrong bytes stays in its charset, the wrong bytes as U+FFFD, where at least four whole
  characters beyond ASCII stand against each wrong one. Detection would turn all of it into another charset's noise.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Literal

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

CharsetOutcome = Literal["bom", "http", "meta", "utf-8", "detected", "replaced"]
"""By whose word a page was decoded; `utf-8` where it is UTF-8 whatever was declared (or nothing was), `replaced` where
no charset fits and damaged characters became U+FFFD."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_HTTP_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_:.\-]{2,40})", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta\b[^>]{0,300}?charset\s{0,8}=\s{0,8}[\"']?([A-Za-z0-9_:.\-]{2,40})", re.IGNORECASE)
_META_WINDOW_BYTES = 4096
_NUL_WINDOW_BYTES = 1024
_MIN_WHOLE_PER_WRONG = 4
_REPLACEMENT = "\ufffd"


def charset_of_header(content_type: str | None) -> str | None:
    """The `charset` parameter of a Content-Type header."""
    match = _HTTP_CHARSET.search(content_type or "")
    return match[1] if match else None


def charset_of_meta(page: bytes) -> str | None:
    """The charset of the first `<meta>` that names one, in the page's first 4 KiB."""
    match = _META_CHARSET.search(page, 0, _META_WINDOW_BYTES)
    return match[1].decode("ascii") if match else None


def decode_html(page: bytes, http_charset: str | None = None) -> tuple[str, CharsetOutcome]:
    """The text of `page`, without NULs, and by whose word it was decoded.

    It holds no lone surrogates, so it is valid UTF-8.
    """
    text, outcome = _decode_chain(page, http_charset)
    # Bytes without a NUL decode to none, and are searched several times as fast as text.
    return (text.replace("\0", ""), outcome) if b"\0" in page else (text, outcome)


def _decode_chain(page: bytes, http_charset: str | None) -> tuple[str, CharsetOutcome]:
    for mark, codec in _MARKS:
        if page.startswith(mark) and (text := _decode(page[len(mark) :], codec)) is not None:
            return text, "bom"
    utf16 = _utf16_by_nuls(page)
    if utf16 is not None and (text := _decode(page, utf16)) is not None:
        return text, "detected"
    declared = list(_declared(page, http_charset))
    utf8 = _decode(page, "utf-8")
    for outcome, codec in declared:
        if utf8 is not None and codec != "utf-8" and not page.isascii() and _is_single_byte(codec):
            return utf8, "utf-8"
        text = utf8 if codec == "utf-8" else _decode(page, codec)
        if text is not None:
            return text, outcome
    if utf8 is not None:
        return utf8, "utf-8"
    return _decode_damaged(page, [codec for _, codec in declared])


def _decode_damaged(page: bytes, declared: list[str]) -> tuple[str, CharsetOutcome]:
    """The text of a page that no declared charset decodes in full, nor UTF-8."""
    for codec in dict.fromkeys([*declared, "utf-8"]):
        text = page.decode(codec, "replace")
        num_wrong = text.count(_REPLACEMENT)
        num_beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
        if num_beyond_ascii - num_wrong >= _MIN_WHOLE_PER_WRONG * num_wrong:
            return text, "replaced"
    detected = _decode(page, _python_codec(detect_encoding(page)) or "windows-1252")
    return (page.decode("windows-1252", "replace"), "replaced") if detected is None else (detected, "detected")


def _utf16_by_nuls(page: bytes) -> str | None:
    """UTF-16 by its NUL bytes: markup is mostly ASCII, so one byte of nearly every pair is zero."""
    window = page[:_NUL_WINDOW_BYTES]
    high, low = window[0::2].count(0), window[1::2].count(0)
    if not window or max(high, low) * 4 < len(window):
        return None
    return "utf-16-be" if high > low else "utf-16-le"


def _is_single_byte(codec: str) -> bool:
    return codec.startswith(("cp125", "iso8859", "koi8", "mac", "cp866", "ascii", "latin"))


def _declared(page: bytes, http_charset: str | None) -> Iterator[tuple[CharsetOutcome, str]]:
    http = _python_codec(http_charset)
    if http is not None:
        yield "http", http
    meta = _python_codec(charset_of_meta(page))
    if meta is not None:
        # A meta element that could be read as ASCII is not in UTF-16, whatever it says (HTML standard, 13.2.3.2).
        yield "meta", "utf-8" if meta.startswith("utf-16") else meta


def _python_codec(label: str | None) -> str | None:
    """Python's codec for a label of the web; None for one that the web does not know."""
    codec: str | None = map_encoding_to_html5(label, fallback_utf8=False) if label else None
    return codec


def _decode(page: bytes, codec: str) -> str | None:
    try:
        return page.decode(codec)
    except (UnicodeError, LookupError):
        return None
