"""A page as blocks: paragraphs, headings, list items, table rows and bare texts, with the share of links in each.

The reader goes once over the tags that `extract.cutting` leaves.

Meaning of markup becomes text: numbers of lists, quotation marks of `<q>`, exponents, indices and fractions
(`extract.superscripts`), formulas (`extract.formulas`), lines by `<br>`, and the indentation of preformatted text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial
from html import unescape
from typing import NamedTuple

from pipelines.extract.cutting import GAP, Cut, cut_markup
from pipelines.extract.elements import CONTAINERS, may_be_article
from pipelines.extract.list_numbers import ListCounter
from pipelines.extract.markup import TAG
from pipelines.extract.superscripts import lowered_text, raised_text, tidy_scripts
from pipelines.extract.word_lists import words

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
BARE = ""
CONTROLS = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u2060\ud800-\udfff\ufeff\ufffe\uffff]")
_ICONS = re.compile("[\ue000-\uf8ff]")
_LINE = "\x02"
_GAP_IN_NUMBER = re.compile(f"(?<=[0-9]){GAP}(?=[0-9])")
_MAX_ROW_CHARACTERS = 300
_MAX_CELL_CHARACTERS = 100

_KINDS = {name: name for name in (*HEADINGS, "p", "li", "dt", "dd", "pre", "tr")}
_KINDS |= {"blockquote": "p", "caption": "p", "summary": "h4", "button": "h4", "listing": "pre", "xmp": "pre"}
_KINDS |= dict.fromkeys(
    words(
        "div section article main body ul ol dl table tbody thead tfoot details fieldset form center header hgroup"
        " address figure dir html legend footer aside nav frameset"
    ),
    BARE,
)
_INHERITED_KINDS = frozenset(("li", "dd", "dt", "tr", "pre"))
_LINK_LISTS = {"/ul": (0.5, 1500), "/div": (0.6, 1500), "/article": (0.4, 500), "/section": (0.6, 1500)}
_LINK_LISTS |= {"/dl": (0.6, 1500), "/table": (0.6, 3000)}
"""By end tag: the share of links from which an element is a menu, and the number of characters from which it is not."""


def _visible(text: str) -> str:
    """Return the text without controls, icons and gaps."""
    return _ICONS.sub("", CONTROLS.sub("", _GAP_IN_NUMBER.sub(" ", text)))


class Block(NamedTuple):
    """A block's element (empty for bare text), its text, the number of its characters in links, and its bullet."""

    kind: str
    text: str
    num_linked: int
    bullet: str = ""


_new_block = partial(tuple.__new__, Block)  # in place of the constructor that is written in Python


class Span(NamedTuple):
    """The range of the blocks of an element that may be the one around the article."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Reading:
    """The blocks of a page, the elements that may be around its article, and its markup without boilerplate."""

    blocks: list[Block]
    spans: list[Span]
    cut: Cut


def read_blocks(html: str, forgiven: Set[str | int] = frozenset(), earlier: Reading | None = None) -> Reading:
    """Read the markup of a body; `forgiven` and the cut of an `earlier` reading are as in `cut_markup`."""
    cut = cut_markup(html, forgiven, None if earlier is None else earlier.cut)
    reader = _Reader()
    pieces, handler_of = reader.pieces, _HANDLERS.get
    for name, attributes, text in TAG.findall(cut.markup):
        handler = handler_of(name)
        if handler is not None:
            handler(reader, name, attributes)
        if text and (pieces or not text.isspace()):
            pieces.append(text)
            if reader.in_link:
                reader.num_linked += len(text.strip())
    reader.flush()
    return Reading(reader.blocks, reader.spans, cut)


_Open = tuple[str, str, str, int, int, int, int]
"""An open element: its name and attributes, the kind of block to which its end returns, and the numbers of blocks,
characters, linked characters and cells at its start."""


class _Reader:
    """The blocks read so far, and the pieces of the block under way."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.spans: list[Span] = []
        self.pieces: list[str] = []
        self.num_linked = 0
        self.in_link = False
        self._kind = BARE
        self._bullet = ""
        self._open: list[_Open] = []
        self._lists: list[ListCounter] = []
        self._scripts: list[int] = []
        self._has_scripts = False
        self._num_quotes = 0
        self._num_cells = 0
        self._num_characters = 0
        self._num_linked_before = 0

    def flush(self) -> None:
        """End the block under way."""
        if not self.pieces:
            return
        text = "".join(self.pieces)
        self.pieces.clear()
        text = self._preformatted(text) if self._kind == "pre" else self._text(text)
        if text:
            num_linked = min(self.num_linked, len(text)) if self.num_linked else 0
            self.blocks.append(_new_block((self._kind, text, num_linked, self._bullet)))
            self._bullet = ""
            self._num_characters += len(text)
            self._num_linked_before += num_linked
        self.num_linked = 0

    def _text(self, text: str) -> str:
        """Return the text of a block with white space collapsed, but for the ends of lines."""
        if "&" in text:
            text = unescape(text)
        is_plain = text.isprintable()  # of white space, only the space is
        text = text.strip() if is_plain and "  " not in text else " ".join(text.split())
        if not text:
            return ""
        if not is_plain and not text.isprintable():
            lines = (" ".join(_visible(line).split()) for line in text.split(_LINE))
            text = "\n".join(line for line in lines if line)
        return self._with_scripts(text) if self._has_scripts else text

    def _preformatted(self, text: str) -> str:
        """Return the lines of preformatted text with their indentation."""
        text = _visible(unescape(text).replace(_LINE, "\n").replace("\u00a0", " "))
        if self._has_scripts:
            text = self._with_scripts(text)
        return "\n".join(line for raw in text.splitlines() if (line := raw.rstrip()))

    def _with_scripts(self, text: str) -> str:
        self._has_scripts = False
        self._scripts.clear()
        return tidy_scripts(text)

    def open_block(self, name: str, attributes: str) -> None:
        """Begin a block element."""
        if self.pieces:
            self.flush()
        self._open.append(
            (
                name,
                attributes,
                self._kind,
                len(self.blocks),
                self._num_characters,
                self._num_linked_before,
                self._num_cells,
            )
        )
        kind = _KINDS[name]
        if kind:
            self._kind = kind
        elif self._kind not in _INHERITED_KINDS:
            self._kind = BARE

    def open_item(self, name: str, attributes: str) -> None:
        """Begin a list item with its bullet."""
        self.open_block(name, attributes)
        self._bullet = self._lists[-1].bullet(attributes) if self._lists else "• "

    def open_list(self, name: str, attributes: str) -> None:
        """Begin a list."""
        self.open_block(name, attributes)
        self._lists.append(ListCounter(name, attributes))

    def open_row(self, name: str, attributes: str) -> None:
        """Begin a row of a table, without cells yet."""
        self.open_block(name, attributes)
        self._num_cells = 0

    def close_block(self, end: str, attributes: str) -> None:
        """End the innermost block element; a menu is dropped."""
        if self.pieces:
            self.flush()
        if not self._open:
            return
        name, opening, self._kind, start, num_characters, num_linked, _ = self._open.pop()
        if len(self.blocks) == start:
            return
        if end in _LINK_LISTS and self._is_menu(end, num_characters, num_linked):
            self._cut(start, num_characters, num_linked)
        elif name in CONTAINERS and may_be_article(name, opening):
            self.spans.append(Span(start, len(self.blocks)))

    def close_item(self, end: str, attributes: str) -> None:
        """End a list item."""
        self.close_block(end, attributes)
        self._bullet = ""

    def close_list(self, end: str, attributes: str) -> None:
        """End a list."""
        self.close_block(end, attributes)
        if self._lists:
            self._lists.pop()

    def close_row(self, end: str, attributes: str) -> None:
        """End a row of a table."""
        row = self._open[-1] if self._open else None
        self.close_block(end, attributes)
        if row is not None:
            *_, start, _, _, num_cells = row
            self._join_cells(start)
            self._num_cells = num_cells

    def _is_menu(self, end: str, num_characters: int, num_linked: int) -> bool:
        """Return whether the text since an element was opened, with so much before it, is mostly links."""
        max_share, max_characters = _LINK_LISTS[end]
        own = self._num_characters - num_characters
        return self._num_linked_before - num_linked > max_share * own and own < max_characters

    def _cut(self, start: int, num_characters: int, num_linked: int) -> None:
        """Drop the blocks from `start` on, and the spans among them."""
        del self.blocks[start:]
        while self.spans and self.spans[-1].stop > start:
            self.spans.pop()
        self._num_characters, self._num_linked_before = num_characters, num_linked

    def _join_cells(self, start: int) -> None:
        """Make one block of a row whose cells hold short paragraphs."""
        cells = self.blocks[start:]
        if not 1 < len(cells) <= self._num_cells or any(
            len(cell.text) > _MAX_CELL_CHARACTERS or cell.bullet or cell.kind == "pre" for cell in cells
        ):
            return
        text = " ".join(cell.text for cell in cells)
        if len(text) <= _MAX_ROW_CHARACTERS:
            self.blocks[start:] = [Block("tr", text, sum(cell.num_linked for cell in cells))]

    def begin_cell(self, name: str, attributes: str) -> None:
        """Part a cell from the one before it."""
        self.pieces.append(" ")
        self._num_cells += 1

    def break_line(self, name: str, attributes: str) -> None:
        """Begin a line; the second break in a row ends the block."""
        if self._kind == "pre":
            self.pieces.append("\n")
            return
        for piece in reversed(self.pieces):
            if piece == _LINE:
                self.flush()
                return
            if not piece.isspace():
                break
        self.pieces.append(_LINE)

    def part(self, name: str, attributes: str) -> None:
        """End the block under way, as a rule does."""
        self.flush()

    def open_link(self, name: str, attributes: str) -> None:
        """Begin a link to elsewhere; a link into the page itself is text."""
        self.in_link = ' href="' in attributes and ' href="#' not in attributes
        if self._scripts and "#" in attributes:
            self.pieces.append(GAP)

    def close_link(self, name: str, attributes: str) -> None:
        """End a link."""
        self.in_link = False

    def open_time(self, name: str, attributes: str) -> None:
        """Begin a date, which counts as a link if it is alone in its block."""
        self.in_link = True

    def open_quote(self, name: str, attributes: str) -> None:
        """Set the mark that opens a quotation."""
        self.pieces.append("‘" if self._num_quotes % 2 else "“")
        self._num_quotes += 1

    def close_quote(self, name: str, attributes: str) -> None:
        """Set the mark that closes a quotation."""
        self._num_quotes = max(0, self._num_quotes - 1)
        self.pieces.append("’" if self._num_quotes % 2 else "”")

    def open_script(self, name: str, attributes: str) -> None:
        """Note where raised or lowered text begins."""
        self._scripts.append(len(self.pieces))

    def close_script(self, name: str, attributes: str) -> None:
        """Put the plain form of the raised or lowered text in its place; a footnote's number goes."""
        start = self._scripts.pop() if self._scripts else len(self.pieces)
        content = unescape("".join(self.pieces[start:]))
        if not content.strip():
            return
        is_footnote = GAP in content and content.strip(f" []()*†‡{GAP}").isdigit()
        before = unescape("".join(self.pieces[max(0, start - 3) : start]))
        write = raised_text if name == "/sup" else lowered_text
        self.pieces[start:] = ["" if is_footnote else write(content.replace(GAP, ""), before)]
        self._has_scripts = True


_Handler = Callable[[_Reader, str, str], None]
_HANDLERS: dict[str, _Handler] = dict.fromkeys(_KINDS, _Reader.open_block)
_HANDLERS |= {f"/{name}": _Reader.close_block for name in _KINDS}
_HANDLERS |= {
    "li": _Reader.open_item,
    "/li": _Reader.close_item,
    "ul": _Reader.open_list,
    "/ul": _Reader.close_list,
    "ol": _Reader.open_list,
    "/ol": _Reader.close_list,
    "tr": _Reader.open_row,
    "/tr": _Reader.close_row,
    "a": _Reader.open_link,
    "/a": _Reader.close_link,
    "time": _Reader.open_time,
    "/time": _Reader.close_link,
    "br": _Reader.break_line,
    "hr": _Reader.part,
    "td": _Reader.begin_cell,
    "th": _Reader.begin_cell,
    "q": _Reader.open_quote,
    "/q": _Reader.close_quote,
    "sup": _Reader.open_script,
    "/sup": _Reader.close_script,
    "sub": _Reader.open_script,
    "/sub": _Reader.close_script,
}
