"""Main text of HTML pages: one line a paragraph, heading, list item or table row.

`extract.main_content` chooses the blocks. Preformatted text keeps its lines and their indentation, verse its
lines; no line is empty.
"""

from __future__ import annotations

import re
from html import unescape

from pipelines.extract.blocks import CONTROLS
from pipelines.extract.charset import decode_html
from pipelines.extract.content_type import parse_content_type
from pipelines.extract.cutting import cut_raw
from pipelines.extract.main_content import Outcome, main_content
from pipelines.extract.markup import TAG, body_markup

__all__ = ["decode_html", "extract_main_text", "extract_text", "first_words", "normalise_lines", "read_main_text"]

_XHTML_TYPE = "application/xhtml+xml"
_XML_DECLARATION = re.compile(r"\s*<\?xml\b")
_XHTML_NAMESPACE = "http://www.w3.org/1999/xhtml"
_PROLOGUE_CHARACTERS = 1000


def extract_text(html: bytes, *, content_type: str | None = None) -> str | None:
    """Return the main text of a page, or None without main text. `content_type` is the HTTP header, which may name a
    charset.

    A hostile page can keep this busy for minutes (parsing is quadratic in attributes): run it in `extract.sandbox`.
    """
    declared = parse_content_type(content_type)
    page, _ = decode_html(html, declared.charset)
    return extract_main_text(page, media_type=declared.essence) or None


def extract_main_text(html: str, *, media_type: str = "") -> str:
    """Return the main text of a decoded page; empty where it has none."""
    return read_main_text(html, media_type=media_type)[0]


def read_main_text(html: str, *, media_type: str = "") -> tuple[str, Outcome]:
    """Return the main text of a decoded page, and how it was read (`extract.main_content`)."""
    blocks, outcome = main_content(html, is_xhtml=media_type == _XHTML_TYPE or _is_xhtml(html))
    return "\n".join(block.bullet + block.text for block in blocks), outcome


def first_words(html: str, max_characters: int) -> str:
    """Return the beginning of all text in a decoded page's body, main or not."""
    texts = (text for _, _, text in TAG.findall(cut_raw(body_markup(html))))
    return " ".join(normalise_lines(unescape(" ".join(texts))).split())[:max_characters]


def _is_xhtml(html: str) -> bool:
    """Return whether a page declares itself as XML, by its declaration and its namespace."""
    return _XML_DECLARATION.match(html) is not None and _XHTML_NAMESPACE in html[:_PROLOGUE_CHARACTERS]


def normalise_lines(text: str) -> str:
    """Return `text` with white space collapsed, without empty lines, controls, lone surrogates and marks without
    width.
    """
    if not text.isprintable():
        text = CONTROLS.sub("", text)
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)
