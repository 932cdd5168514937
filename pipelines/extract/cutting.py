"""Removal of boilerplate elements from a page's markup, with the number of characters dropped for each reason.

Scripts, styles and comments go without a trace. Elements that `extract.elements` names go with a note of the reason and
the place, so that a reading can forgive a reason or a single element, and what was cut is never read tag by tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import NamedTuple

from pipelines.extract.elements import DROPPED_ELEMENTS, FORMULA, reason_by_attributes, reason_by_name

GAP = "\x01"
"""The mark left between two digits where an element is cut, so that two numbers do not become one."""

_RAW = "style|iframe|noembed|noframes|xmp|plaintext"
_MIN_RUNNING_CHARACTERS = 50
_HEADING_WINDOW = 500
_COMMENT = r"!--(?:[^-]++|-(?!->))*+-->"
# Comments and raw elements are matched whole, since they alone may hold what looks like a tag. A script that holds a
# formula is an element like others.
_OPENING = re.compile(
    rf"<(?:{_COMMENT}"
    rf"|(script(?! type=\"math/)|{_RAW})(?=[ >])[^>]*+>((?:[^<]++|<(?!/\1>))*+)</\1>"
    rf"|({'|'.join(sorted(DROPPED_ELEMENTS, key=len, reverse=True))})(?=[ >])([^>]*+)>"
    r"|(?!(?:img|input|source|link|meta|col|br|hr|wbr|area|param) |a href=\"[^\"]*+\"(?: target=\"[^\"]*+\")?+>)"
    r"([a-z][^\s>]*+)( [^>]*+)>)"
)
# Text in a comment's or a script's markup counts too: it may cost a reading more, and changes no text.
_RUNNING_TEXT = re.compile(rf"<(?!(?:a|script|{_RAW})[ >])[a-z/][^>]*+>([^<]{{{_MIN_RUNNING_CHARACTERS + 1},}})")
_OPEN_HEADING = re.compile(r"<(h[1-6]|dt|summary)(?=[ >])(?:(?!</\1>).)*$", re.DOTALL)


class Dropped(NamedTuple):
    """An element that was cut: the reason, and its range in the markup."""

    reason: str
    start: int
    stop: int


@dataclass(slots=True)
class Cost:
    """The characters of running text dropped for one reason, the largest element's, and where that one begins."""

    num_characters: int = 0
    largest: int = 0
    start: int = -1


def cut_markup(html: str, forgiven: Set[str | int] = frozenset()) -> tuple[str, list[Dropped]]:
    """Well-formed markup without boilerplate elements, and the list of dropped elements.

    Kept are elements whose reason to be dropped, or whose place in the markup, is forgiven.
    """
    pieces: list[str] = []
    dropped: list[Dropped] = []
    done = position = 0
    while (found := _OPENING.search(html, position)) is not None:
        raw, content, named, _, name, attributes = found.groups()
        start, position = found.span()
        if named is None and name is None:
            pieces.append(html[done:start])
            if raw in ("xmp", "plaintext"):
                pieces.append(f"<pre>{escape(content)}</pre>")
            done = position
            continue
        reason = _reason_by_name(html, found) if name is None else reason_by_attributes(name, attributes)
        if not reason or reason in forgiven or start in forgiven:
            continue
        if html.startswith("<math", position):  # hidden, for a picture of the formula is shown beside it
            reason = FORMULA
        stop = _end_of_element(html, named or name, position)
        pieces.append(html[done:start])
        if html[start - 1 : start].isdigit():
            pieces.append(GAP)
        dropped.append(Dropped(reason, start, stop))
        done = position = stop
    pieces.append(html[done:])
    return "".join(pieces), dropped


def costs_of(html: str, dropped: Iterable[Dropped], least: float = 0.0) -> dict[str, Cost]:
    """Return the characters of running text, outside of links, dropped for each reason that may cost `least` or
    more.
    """
    elements: dict[str, list[Dropped]] = {}
    for element in dropped:
        elements.setdefault(element.reason, []).append(element)
    return {
        reason: _cost_of(html, each)
        for reason, each in elements.items()
        if sum(element.stop - element.start for element in each) >= least
    }


def _cost_of(html: str, elements: Iterable[Dropped]) -> Cost:
    cost = Cost()
    for _, start, stop in elements:
        num_characters = sum(map(len, _RUNNING_TEXT.findall(html, start, stop)))
        cost.num_characters += num_characters
        if num_characters > cost.largest:
            cost.largest, cost.start = num_characters, start
    return cost


def cut_raw(html: str) -> str:
    """Markup without comments and raw elements."""
    return _RAW_ELEMENT.sub("", html)


_RAW_ELEMENT = re.compile(rf"<(?:{_COMMENT}|(script|{_RAW})(?=[ >])[^>]*+>(?:[^<]++|<(?!/\1>))*+</\1>)")


def _reason_by_name(html: str, found: re.Match[str]) -> str:
    named, attributes = found[3], found[4]
    if named != "button":
        return reason_by_name(named, attributes)
    text_end = html.find("<", found.end())
    in_heading = _OPEN_HEADING.search(html, max(0, found.start() - _HEADING_WINDOW), found.start()) is not None
    return reason_by_name(named, attributes, html[found.end() : text_end], in_heading=in_heading)


def _end_of_element(html: str, name: str, position: int) -> int:
    """The place behind the end tag of an element whose start tag ends at `position`."""
    border = _border(name)
    depth = 1
    while (found := border.search(html, position)) is not None:
        position = found.end()
        if found[1] is not None:
            depth += -1 if found[1] else 1
            if not depth:
                return position
    return len(html)


@lru_cache(256)
def _border(name: str) -> re.Pattern[str]:
    """The tags of one name, and what may hold text that looks like them."""
    raw = (
        ""
        if name in ("script", "style", "iframe", "xmp")
        else rf"|(script|{_RAW})(?=[ >])[^>]*+>(?:[^<]++|<(?!/\2>))*+</\2>"
    )
    return re.compile(rf"<(?:(/?){re.escape(name)}(?=[ >])[^>]*+>|{_COMMENT}{raw})")
