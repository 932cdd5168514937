"""Charset detection and decoding of a page, with the source of the charset.

The chain: byte order mark, UTF-8 by its bytes, HTTP header, the page's own declaration, detection. A declaration counts
where all bytes decode by it. The mark comes first, as the WHATWG Encoding Standard has it, since it is part of the page
and never set by a careless server. Four things go beyond the standard's chain:

- Bytes beyond ASCII that are valid UTF-8 overrule another declared charset: text in such a charset almost never is
  valid UTF-8, and servers that declare ISO-8859-1 for everything are many. A charset of several bytes a character is
  overruled only by a few such characters, since a single one may be chance.
- A page with a few wrong bytes among more whole characters of UTF-8 is UTF-8, the wrong bytes as U+FFFD: a description
  cut by bytes, or the end of a page that was cut. Where UTF-8 was declared, as many whole characters as wrong bytes
  are enough, or one among a few; else four to one.
- A page full of NUL bytes is UTF-16 without a mark, whatever was declared.
- A page in another charset of several bytes a character stays in it, where at least four whole characters stand
  against each wrong byte. Detection would turn all of it into another charset's noise.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Literal

from resiliparse.parse.encoding import detect_encoding

from pipelines.extract.charset_prescan import declared_charset
from pipelines.extract.web_codecs import REPLACEMENT, codec_of_label, decode, decode_damaged, is_single_byte

CharsetOutcome = Literal["bom", "http", "meta", "utf-8", "detected", "replaced"]
"""The source of a page's charset: `utf-8` where it is UTF-8 whatever was declared (or nothing was), `replaced` where
no charset fits and damaged characters became U+FFFD."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NUL_WINDOW_BYTES = 1024
_MIN_WHOLE_PER_WRONG = 4
_FEW_WRONG = 8
_ENOUGH_UTF8 = 4
_ESCAPES_OF_ISO_2022_JP = (b"\x1b$B", b"\x1b$@")
# Sequences that lack their end, as no Latin text has them: typographic marks and emoji, a capital letter in mid-word,
# and the end of the page. One set of bytes comes first, so that a search passes over all others.
_CUT_UTF8 = re.compile(
    rb"[\xc2-\xf4](?:"
    rb"(?<=\xe2)[\x80-\x8f](?![\x80-\xbf])|(?<=\xf0)\x9f[\x80-\xbf]?(?![\x80-\xbf])"
    rb"|(?<=[a-z][\xc3-\xd6\xd8-\xde])(?![A-Za-z\x80-\xff])"
    rb"|\Z|(?<=[\xe0-\xf4])[\x80-\xbf]\Z|(?<=[\xf0-\xf4])[\x80-\xbf]{2}\Z)"
)


def decode_html(page: bytes, http_charset: str | None = None) -> tuple[str, CharsetOutcome]:
    """Return the text of `page`, without NULs, and the source of its charset.

    It holds no lone surrogates, so it is valid UTF-8.
    """
    text, outcome = _decode_chain(page, codec_of_label(http_charset), codec_of_label(declared_charset(page)))
    # Bytes without a NUL decode to none, and are searched several times as fast as text.
    return (text.replace("\0", ""), outcome) if b"\0" in page else (text, outcome)


def decode_text(body: bytes, http_charset: str | None = None) -> tuple[str, CharsetOutcome]:
    """Decode plain text as `decode_html` does: markup in it declares nothing."""
    text, outcome = _decode_chain(body, codec_of_label(http_charset), None)
    return (text.replace("\0", ""), outcome) if b"\0" in body else (text, outcome)


def _decode_chain(page: bytes, http: str | None, own: str | None) -> tuple[str, CharsetOutcome]:
    for mark, codec in _MARKS:
        if page.startswith(mark):
            return _decode_marked(page[len(mark) :], codec)
    utf16 = _utf16_by_nuls(page)
    if utf16 is not None and (text := decode(page, utf16)) is not None:
        return text, "detected"
    declared = list(_declared(page, http, own))
    utf8 = decode(page, "utf-8")
    if utf8 is not None:
        return _decode_valid_utf8(page, utf8, declared)
    damaged = _damaged_utf8(page, any(codec == "utf-8" for _, codec in declared))
    if damaged is not None:
        return damaged, "replaced"
    for outcome, codec in declared:
        if (text := decode(page, codec)) is not None:
            return text, outcome
    return _decode_damaged(page, [codec for _, codec in declared])


def _decode_marked(page: bytes, codec: str) -> tuple[str, CharsetOutcome]:
    text = decode(page, codec)
    return (decode_damaged(page, codec), "replaced") if text is None else (text, "bom")


def _decode_valid_utf8(
    page: bytes, utf8: str, declared: list[tuple[CharsetOutcome, str]]
) -> tuple[str, CharsetOutcome]:
    """Return the text of a page whose bytes are valid UTF-8, which ASCII with escape sequences is too."""
    is_ascii = len(page) == len(utf8)
    for outcome, codec in declared:
        if codec == "utf-8" or (is_ascii and is_single_byte(codec)):
            return utf8, outcome
        is_doubtful = is_ascii or _num_beyond_ascii(utf8) < _ENOUGH_UTF8
        if is_doubtful and not is_single_byte(codec) and (text := decode(page, codec)) is not None:
            return text, outcome
    if is_ascii and any(escape in page for escape in _ESCAPES_OF_ISO_2022_JP):
        text = decode(page, "iso2022_jp")
        if text is not None:
            return text, "detected"
    return utf8, "utf-8"


def _damaged_utf8(page: bytes, is_declared: bool) -> str | None:
    """Return the page as UTF-8 with its wrong bytes as U+FFFD; None where it is more likely something else."""
    text = page.decode("utf-8", "replace")
    num_cut = len(_CUT_UTF8.findall(page))
    num_wrong = max(0, text.count(REPLACEMENT) - page.count(b"\xef\xbf\xbd") - num_cut)
    num_whole = _num_beyond_ascii(text) - text.count(REPLACEMENT) + (num_cut if is_declared else 0)
    if is_declared and num_whole >= (1 if num_wrong <= _FEW_WRONG else num_wrong):
        return text
    return text if num_whole >= max(1, _MIN_WHOLE_PER_WRONG * num_wrong) else None


def _decode_damaged(page: bytes, declared: list[str]) -> tuple[str, CharsetOutcome]:
    """Return the text of a page that no declared charset decodes in full, nor UTF-8."""
    for codec in dict.fromkeys(declared):
        text = decode_damaged(page, codec)
        num_wrong = text.count(REPLACEMENT)
        if codec != "utf-8" and _num_beyond_ascii(text) - num_wrong >= _MIN_WHOLE_PER_WRONG * num_wrong:
            return text, "replaced"
    # Detection says UTF-8 where it has seen too little. Nobody says windows-1252 here, so what it lacks is noise.
    detected = codec_of_label(detect_encoding(page))
    for codec in ("cp1252" if detected in (None, "utf-8") else detected, "cp1252"):
        try:
            return page.decode(codec), "detected"
        except UnicodeError:
            continue
    return page.decode("cp1252", "replace"), "replaced"


def _num_beyond_ascii(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))


def _utf16_by_nuls(page: bytes) -> str | None:
    """Detect UTF-16 by its NUL bytes: markup is mostly ASCII, so one byte of nearly every pair is zero."""
    window = page[:_NUL_WINDOW_BYTES]
    high, low = window[0::2].count(0), window[1::2].count(0)
    if not window or max(high, low) * 4 < len(window):
        return None
    return "utf-16-be" if high > low else "utf-16-le"


def _declared(page: bytes, http: str | None, own: str | None) -> Iterator[tuple[CharsetOutcome, str]]:
    if http is not None and (not http.startswith("utf-16") or not page.isascii()):
        yield "http", http
    if own is not None:
        # A meta element that could be read as ASCII is not in UTF-16, whatever it says (HTML standard, 13.2.3.2).
        yield "meta", "utf-8" if own.startswith("utf-16") else own
