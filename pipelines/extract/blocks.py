"""A page as blocks: what resiliparse takes for main content, line by line, with how much of each line is links.

resiliparse gives its choice as reduced HTML (`<p>`, `<h1>`, `<li>`, `<a>`, …), in which text and addresses are escaped
and no tag holds a line end, so that it is read line by line; most lines are one paragraph without a link.

Two things that it drops are put so, beforehand, that they come through and are judged like any other block: a `<ul>`
right in an article (most are menus), which is put into a `<div>`; and a quoted post, whose class is changed.
"""

from __future__ import annotations

import re
from html import unescape
from typing import NamedTuple

from resiliparse.extract.html2text import extract_plain_text

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
BARE = ""
_BLOCK_TAGS = frozenset({*HEADINGS, "p", "li", "ul", "ol", "pre", "br", "blockquote", "table", "tr"})
_LISTS = ("ul", "ol")
_SKIPPED_ELEMENTS = ["[class*=caption]", "[class*=newsletter]"]
"""What resiliparse does not know to be no part of an article. It tests every element, so each costs time."""

# Each branch begins with a character that decides, so that nearly all tags are passed over at once.
_DROPPED = re.compile(r"""<(?:[uU][lL]\b|/[uU][lL]\b|blockquote class=["']twitter-(?:tweet|video))""")
_CLASS_QUOTE = len("<blockquote class=")
_DOCTYPE = re.compile(r"\s*<!DOCTYPE", re.IGNORECASE)
_BODY = re.compile(r"</head\s{0,20}>\s{0,20}<body\b", re.IGNORECASE)
_TOKEN = re.compile(r"([^<]+)|<(/?)([A-Za-z][A-Za-z0-9]*)[^<>]*>|(<)")


class Block(NamedTuple):
    """A line of text, its element (empty for bare text), how many of its characters are links, and its bullet."""

    kind: str
    text: str
    num_linked: int
    bullet: str = ""


def candidate_blocks(page: str) -> list[Block]:
    """What resiliparse takes for main content of a decoded page, before the second look."""
    reduced = extract_plain_text(
        _prepared(page),
        preserve_formatting="minimal_html",
        main_content=True,
        comments=False,
        post_meta=False,
        alt_texts=False,
        links=True,
        skip_elements=_SKIPPED_ELEMENTS,
    )
    return _BlockReader().read(reduced)


def page_body(page: str) -> str:
    """`page` without its head, a third of a usual page's bytes and none of its text; all of it where in doubt."""
    start = _body_start(page)
    return _doctype(page, start) + page[start:]


def _prepared(page: str) -> str:
    """The body with what resiliparse drops put so that it comes through; joined once, for each copy of a page costs."""
    done = _body_start(page)
    pieces = [_doctype(page, done)]
    # One pass of a pattern: four plain replacements take half as long as all of the parsing.
    for match in _DROPPED.finditer(page, done):
        pieces += (page[done : match.start()], _comes_through(match[0]))
        done = match.end()
    return "".join([*pieces, page[done:]])


def _body_start(page: str) -> int:
    """Where `<body` stands behind a head; 0 where that is not certain."""
    match = _BODY.search(page)
    if match is None:
        return 0
    for opening, closing in (("<script", "</script"), ("<!--", "-->")):
        last = page.rfind(opening, 0, match.start())
        if last >= 0 and page.find(closing, last, match.start()) < 0:
            return 0  # what looks like a body stands in a script or in a comment
    return match.end() - len("<body")


def _doctype(page: str, body_start: int) -> str:
    """What stands for the head that is left out, whose doctype decides how the body is parsed."""
    return "<!DOCTYPE html>" if body_start and _DOCTYPE.match(page) else ""


def _comes_through(tag: str) -> str:
    if tag[1] == "/":
        return "</ul></div"
    return "<div><ul" if tag[1] in "uU" else f"<blockquote class={tag[_CLASS_QUOTE]}quoted"


def _collapsed(text: str) -> str:
    """White space as single spaces, none at the ends. Of white space, only the space is printable."""
    return text.strip(" ") if text.isprintable() and "  " not in text else " ".join(text.split())


class _BlockReader:
    """Reads reduced HTML. What stands between two tags or line ends is a block's piece; links do not part blocks."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._kind = BARE
        self._pieces: list[str] = []
        self._num_linked = 0
        self._in_link = False
        self._lists: list[tuple[str, int]] = []
        self._bullet = ""

    def read(self, reduced: str) -> list[Block]:
        for line in reduced.split("\n"):
            if line.startswith("<p>") and line.find("<", 3) == len(line) - 4 and line.endswith("</p>"):
                self._read_paragraph(line[3:-4])
            elif line:
                self._read_tokens(line)
                self._flush()
        return self._blocks

    def _read_paragraph(self, text: str) -> None:
        """The line is one paragraph: what `_read_tokens` and `_flush` would make of it, at once."""
        text = _collapsed(unescape(text))
        if text:
            self._blocks.append(Block("p", text, 0))
        self._kind, self._in_link, self._bullet = BARE, False, ""

    def _read_tokens(self, line: str) -> None:
        for text, closing, tag, angle in _TOKEN.findall(line):
            if text:
                self._add(unescape(text))
            elif tag == "a":
                self._in_link = not closing
            elif tag in _BLOCK_TAGS:
                self._flush()
                self._open(tag, bool(closing))
            elif angle:
                self._add(angle)

    def _add(self, text: str) -> None:
        self._pieces.append(text)
        if self._in_link:
            self._num_linked += len(text.strip())

    def _flush(self) -> None:
        if not self._pieces:
            return
        text = _collapsed("".join(self._pieces))
        if text:
            self._blocks.append(Block(self._kind, text, self._num_linked, self._bullet))
            self._bullet = ""
        self._pieces, self._num_linked = [], 0

    def _open(self, tag: str, closing: bool) -> None:
        """Note where the text that follows stands. A link does not reach over the border of a block."""
        self._kind, self._in_link, self._bullet = (BARE if closing else tag), False, ""
        if tag in _LISTS:
            self._lists = self._lists[:-1] if closing else [*self._lists, (tag, 0)]
        elif tag == "li" and not closing and self._lists:
            kind, count = self._lists[-1]
            self._lists[-1] = (kind, count + 1)
            self._bullet = f"{count + 1}. " if kind == "ol" else "• "
