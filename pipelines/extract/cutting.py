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

_RAW = ("style", "iframe", "noembed", "noframes")
_SHOWN_RAW = ("xmp", "plaintext")
"""Raw elements whose content is text of the page."""
_MIN_RUNNING_CHARACTERS = 50
_HEADING_WINDOW = 500
_COMMENT = r"!--(?:[^-]++|-(?!->))*+-->"


def _alternatives(names: Iterable[str]) -> str:
    """Return a pattern of these names that compares the rest of a name only where its first letter stands."""
    rests: dict[str, list[str]] = {}
    for name in sorted(names, key=len, reverse=True):
        rests.setdefault(name[0], []).append(name[1:])
    return "|".join(f"{letter}(?:{'|'.join(each)})" for letter, each in sorted(rests.items()))


def _raw_elements(names: Iterable[str]) -> str:
    """Return a pattern of whole raw elements, but for their first angle bracket.

    Each branch begins with a letter and not with a group, for such a branch is ruled out fast.
    """
    return "|".join(rf"{name}(?=[ >])[^>]*+>(?:[^<]++|<(?!/{name}>))*+</{name}>" for name in names)


# Comments and raw elements are matched whole, since they alone may hold what looks like a tag. A script that holds a
# formula is an element like others.
_OPENING = re.compile(
    rf"<(?!/)(?:{_COMMENT}|(?!script type=\"math/)(?:{_raw_elements(('script', *_RAW))})"
    rf"|({'|'.join(_SHOWN_RAW)})(?=[ >])[^>]*+>((?:[^<]++|<(?!/\1>))*+)</\1>"
    rf"|({_alternatives(DROPPED_ELEMENTS)})(?=[ >])([^>]*+)>"
    r"|(?!(?:img|input|source|link|meta|col|br|hr|wbr|area|param) |a href=\"[^\"]*+\"(?: target=\"[^\"]*+\")?+>)"
    r"([a-z][^\s>]*+)( [^>]*+)>)"
)
_SHOWN, _NAMED, _ATTRIBUTES_OF_NAMED, _NAME, _ATTRIBUTES = 2, 3, 4, 5, 6
_END, _START = 1, 2
# Text in a comment's or a script's markup counts too: it may cost a reading more, and changes no text.
_RUNNING_TEXT = re.compile(
    rf"<(?!(?:a|script|{'|'.join((*_RAW, *_SHOWN_RAW))})[ >])[a-z/][^>]*+>([^<]{{{_MIN_RUNNING_CHARACTERS + 1},}})"
)
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


@dataclass(frozen=True, slots=True)
class Cut:
    """Markup without boilerplate elements: what stays before, between and behind the dropped elements."""

    kept: list[str]
    dropped: list[Dropped]

    @property
    def markup(self) -> str:
        """The markup that stays, with a `GAP` where an element between two digits was dropped."""
        pieces = [piece if not piece[-1:].isdigit() else piece + GAP for piece in self.kept[:-1]]
        return "".join([*pieces, self.kept[-1]])


def cut_markup(html: str, forgiven: Set[str | int] = frozenset(), earlier: Cut | None = None) -> Cut:
    """Cut boilerplate elements out of well-formed markup.

    Kept are elements whose reason to be dropped, or whose place in the markup, is forgiven. After an `earlier` cut of
    the same markup, which forgave less, only the elements that it dropped are read.
    """
    if earlier is None:
        return _cut(html, 0, len(html), forgiven)
    kept, dropped = [earlier.kept[0]], list[Dropped]()
    for element, behind in zip(earlier.dropped, earlier.kept[1:], strict=True):
        if element.reason in forgiven or element.start in forgiven:
            inside = _cut(html, element.start, element.stop, forgiven)
            kept[-1] += inside.kept[0]
            kept += inside.kept[1:]
            kept[-1] += behind
            dropped += inside.dropped
        else:
            kept.append(behind)
            dropped.append(element)
    return Cut(kept, dropped)


def _cut(html: str, position: int, end: int, forgiven: Set[str | int]) -> Cut:
    """Cut boilerplate elements out of the markup between two places."""
    kept: list[str] = []
    pieces: list[str] = []
    dropped: list[Dropped] = []
    reasons: dict[str, str] = {}
    done = position
    openings = _OPENING.finditer(html, position, end)
    while (found := next(openings, None)) is not None:
        kind = found.lastindex
        if kind == _ATTRIBUTES:
            tag = found[0]
            reason = reasons.get(tag)
            if reason is None:
                reason = reasons[tag] = reason_by_attributes(found[_NAME], found[_ATTRIBUTES])
        elif kind == _ATTRIBUTES_OF_NAMED:
            reason = _reason_by_name(html, found)
        else:
            pieces.append(html[done : found.start()])
            if kind == _SHOWN:
                pieces.append(f"<pre>{escape(found[_SHOWN])}</pre>")
            done = found.end()
            continue
        if not reason:
            continue
        start, position = found.span()
        if reason in forgiven or start in forgiven:
            continue
        if html.startswith("<math", position):  # hidden, for a picture of the formula is shown beside it
            reason = FORMULA
        kept.append("".join([*pieces, html[done:start]]))
        done = _end_of_element(html, found[kind - 1], position, end)
        pieces.clear()
        dropped.append(Dropped(reason, start, done))
        openings = _OPENING.finditer(html, done, end)
    return Cut([*kept, "".join([*pieces, html[done:end]])], dropped)


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
    """Return markup without comments and raw elements."""
    return _RAW_ELEMENT.sub("", html)


_RAW_ELEMENT = re.compile(rf"<(?:{_COMMENT}|{_raw_elements(('script', *_RAW, *_SHOWN_RAW))})")


def _reason_by_name(html: str, found: re.Match[str]) -> str:
    named, attributes = found[_NAMED], found[_ATTRIBUTES_OF_NAMED]
    if named != "button":
        return reason_by_name(named, attributes)
    text_end = html.find("<", found.end())
    in_heading = _OPEN_HEADING.search(html, max(0, found.start() - _HEADING_WINDOW), found.start()) is not None
    return reason_by_name(named, attributes, html[found.end() : text_end], in_heading=in_heading)


def _end_of_element(html: str, name: str, position: int, end: int) -> int:
    """Return the place behind the end tag of an element whose start tag ends at `position`."""
    depth = 1
    for border in _borders(name).finditer(html, position, end):
        kind = border.lastindex
        if kind == _END:
            depth -= 1
            if not depth:
                return border.end()
        elif kind == _START:
            depth += 1
    return end


@lru_cache(256)
def _borders(name: str) -> re.Pattern[str]:
    """End tags (group 1) and start tags (group 2) of one name, and what may hold text that looks like them.

    The groups are empty and stand behind, so that no branch begins with one.
    """
    is_raw = name in ("script", "style", "iframe", "xmp")
    raw = "" if is_raw else f"|{_raw_elements(('script', *_RAW, *_SHOWN_RAW))}"
    name = re.escape(name)
    return re.compile(rf"<(?:/{name}>()|{name}(?=[ >])[^>]*+>()|{_COMMENT}{raw})")
