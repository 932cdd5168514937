"""The tags and texts of a page's body in document order, as the HTML standard's parser reads them.

lexbor (through resiliparse) parses the page and writes it back. Its output is regular: each opened element is closed,
attribute values are quoted, and no value holds an angle bracket. A pattern reads such markup faster than Python walks
a tree, and in time that is linear in nesting.
"""

from __future__ import annotations

import re
from html import escape

from resiliparse.parse.html import HTMLTree

from pipelines.extract.formulas import put_formulas_as_text
from pipelines.extract.word_lists import words

TAG = re.compile(r"<(/?[a-z][a-z0-9]*+[^\s>]*+)([^>]*+)>([^<]*+)")
"""A tag of markup without raw elements: its name (with a slash where it closes), its attributes, the text behind it.

Texts and attributes hold character references.
"""

VOID_ELEMENTS = words(
    "area base br col embed hr img input link meta param source track wbr basefont bgsound frame keygen"
)

_NAME = r"[A-Za-z][\w:.-]*+"
_ATTRIBUTES = r"""(?:\s++[^<>"'/\s=]++(?:\s*+=\s*+(?:"[^"<]*+"|'[^'<]*+'))?+)*+"""
_CLOSED_BY_ITSELF = re.compile(rf"<({_NAME})({_ATTRIBUTES})\s*+/>")
_OPAQUE = re.compile(rf"<!--|<!\[CDATA\[|<(script|style)\b{_ATTRIBUTES}\s*+>", re.IGNORECASE)
_NO_FRAMES = re.compile(r"<noframes\b[^>]*+>(.*)</noframes>", re.DOTALL)


def body_markup(page: str, *, is_xhtml: bool = False, with_formulas: bool = False) -> str:
    """Return the body of a decoded page as well-formed markup.

    Formulas come as text on demand only: few pages hold any, and the search takes time.
    """
    tree = HTMLTree.parse(xhtml_as_html(page) if is_xhtml else page)
    if with_formulas:
        put_formulas_as_text(tree)
    html: str = tree.body.outer_html if tree.body is not None else ""
    if html:
        return html
    without_frames = _NO_FRAMES.search(str(tree))
    return "" if without_frames is None else body_markup(without_frames[1].replace("frame", "x-frame"))


def xhtml_as_html(page: str) -> str:
    """Return an XHTML page as HTML: `<div/>` becomes `<div></div>`, and a CDATA section becomes text."""
    pieces: list[str] = []
    done = position = 0
    unclosed: set[str] = set()
    while (opening := _OPAQUE.search(page, position)) is not None:
        closing = _closing_of(opening)
        end = -1 if closing in unclosed else page.find(closing, opening.end())
        position = opening.end()
        if end < 0:
            unclosed.add(closing)
            continue
        pieces.append(_with_end_tags(page[done : opening.start()]))
        is_text = closing == "]]>"
        done = position = end + len(closing)
        pieces.append(escape(page[opening.end() : end]) if is_text else page[opening.start() : done])
    return "".join([*pieces, _with_end_tags(page[done:])])


def _closing_of(opening: re.Match[str]) -> str:
    if opening[1]:
        return f"</{opening[1]}"
    return "-->" if opening[0] == "<!--" else "]]>"


def _with_end_tags(markup: str) -> str:
    return _CLOSED_BY_ITSELF.sub(
        lambda tag: tag[0] if tag[1].lower() in VOID_ELEMENTS else f"<{tag[1]}{tag[2]}></{tag[1]}>", markup
    )
