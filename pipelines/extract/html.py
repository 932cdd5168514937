"""HTML to the text of its main content: one line a paragraph, heading or list item.

`pipelines.extract.main_content` says which blocks those are.

Not covered: the indentation of preformatted text; tables, whose rows come as lines.
"""

from __future__ import annotations

import re

from pipelines.extract.charset import decode_html
from pipelines.extract.content_type import parse_content_type
from pipelines.extract.main_content import main_blocks

__all__ = ["decode_html", "extract_main_text", "extract_text", "normalise_lines"]

_CONTROLS = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u2060\ud800-\udfff\ufeff\ufffe\uffff]")


def extract_text(html: bytes, *, content_type: str | None = None) -> str | None:
    """The main text of a page, or None where it has none. `content_type` is the HTTP header, which may name a charset.

    A hostile page can keep this busy for minutes (parsing is quadratic in nesting): run it in `extract.sandbox`.
    """
    page, _ = decode_html(html, parse_content_type(content_type).charset)
    return extract_main_text(page) or None


def extract_main_text(html: str) -> str:
    """The main text of a decoded page; empty where it has none."""
    return "\n".join(line for block in main_blocks(html) if (line := _visible(block.bullet + block.text)))


def normalise_lines(text: str) -> str:
    """White space collapsed; empty lines, controls, lone surrogates and marks without width dropped."""
    if not text.isprintable():
        text = _CONTROLS.sub("", text)
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _visible(line: str) -> str:
    """`normalise_lines` of a line whose white space is collapsed already; what is printable holds no control."""
    return line if line.isprintable() else normalise_lines(line)
