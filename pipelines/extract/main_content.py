"""Main-content extraction: the element around the article, then rules over its blocks.

The article is the smallest element whose name says so and that holds most of the page's running text. Above it, its
headline and lead are kept. Over its blocks go these rules:

- Links. A block that is mostly links is a menu, or a list of other articles; a short line that introduces two such
  blocks goes with them. A heading that links stays where its own text follows, and so does a linked sentence among
  text. An address written out is text.
- Furniture (`extract.furniture`): wording with a second sign.
- Fragments. Where most text stands in paragraphs, bare text of a few words that ends no sentence is a caption, a date
  or a button, and bare text behind the last sentence is about other articles.
- The end. Headings behind the last sentence, list or table belong to what came after the article; so does, in the last
  fifth of the text, a block that closes the page.
- Repeats. Text that a page shows twice is kept once.

Where little is left beside the running text that was dropped for one reason, that reason is forgiven and the page is
read again; the outcome says so. What many pages of one site share needs the other pages: `extract.site_boilerplate`.

`python -m benchmarks.extraction` measures precision and recall on 482 pages with snippets and 92 news pages with their
articles. Words and thresholds were chosen on one half of the snippets.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, NamedTuple

from pipelines.extract.blocks import BARE, HEADINGS, Block, Reading, read_blocks
from pipelines.extract.cutting import costs_of
from pipelines.extract.elements import FORMULA
from pipelines.extract.furniture import SENTENCE_ENDS, closes_page, is_furniture
from pipelines.extract.markup import body_markup
from pipelines.extract.word_lists import words

Outcome = Literal["strict", "forgiven"]
"""`forgiven` where a reason to drop text was forgiven, since little was left."""

_ADDRESS = re.compile(r"(?:https?://|www\.)\S+")
_MAX_INTRODUCTION_CHARACTERS = 60
_MAX_READINGS = 4
_MIN_FORGIVEN_CHARACTERS = 150
_MOST = 0.7
_BEHIND_HEADINGS = ("li", "tr", "dt", "pre")
_FORGIVEN_LAST = words("newsletter cookie cookies search searchform")
_NEVER_FORGIVEN = words(
    "login signin signup register consent gdpr dialog alert alertdialog select textarea datalist svg title button rt rp"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondLook:
    """The thresholds of the choice, in characters and in shares of characters."""

    min_article_share: float = 0.6
    """The article's element holds this share of the running text."""
    min_article_characters: int = 400
    """An element with less running text is not taken for the article's."""
    min_lead_characters: int = 50
    """Above the article, shorter texts than this are dates and names."""
    max_link_share: float = 0.5
    """A block with a larger share of links is a menu's."""
    max_link_share_of_sentences: float = 0.9
    """The same for a block that ends like a sentence."""
    max_furniture_characters: int = 300
    """A longer block is not furniture, and closes nothing."""
    min_sentence_characters: int = 80
    """Running text is at least so long."""
    min_paragraph_share: float = 0.5
    """From this share of a page's text in paragraphs and list items on, bare text is looked at twice."""
    max_fragment_words: int = 8
    """Bare text of more words, without a link, is a line of the article."""
    closing_share: float = 0.2
    """The share of the text, at its end, in which it is closed."""
    min_kept_share: float = 0.3
    """With less text than this share of what one reason dropped, the reason is forgiven."""
    max_little_characters: int = 1000
    """More text than this is not little, whatever was dropped."""


class MainContent(NamedTuple):
    """The blocks of a page's main content, and how it was read."""

    blocks: list[Block]
    outcome: Outcome


_LOOK = SecondLook()
_NUM_LEAD_BLOCKS = 4
_MIN_REPEATED_CHARACTERS = 200
_MAX_LEAD_LINK_SHARE = 0.3


def main_content(page: str, *, is_xhtml: bool = False) -> MainContent:
    """Return the main content of a decoded page."""
    return content_of(*read_page(page, is_xhtml=is_xhtml))


def read_page(page: str, *, is_xhtml: bool = False) -> tuple[str, Reading]:
    """Return the markup of a decoded page's body and its first reading, formulas as text."""
    html = body_markup(page, is_xhtml=is_xhtml)
    reading = read_blocks(html)
    if any(element.reason == FORMULA for element in reading.cut.dropped):
        html = body_markup(page, is_xhtml=is_xhtml, with_formulas=True)
        reading = read_blocks(html)
    return html, reading


def content_of(html: str, reading: Reading, look: SecondLook = _LOOK) -> MainContent:
    """Return the main content of a first reading; as long as little is left, the markup is read again, reasons
    forgiven.
    """
    forgiven: set[str | int] = set()
    best: list[Block] = []
    while True:
        blocks = second_look(reading, look)
        if not forgiven or _num_characters(blocks) > _num_characters(best):
            best = blocks
        costly = _costly_reason(html, reading, _num_characters(blocks), look)
        if costly is None or len(forgiven) == _MAX_READINGS:
            return MainContent(best, "forgiven" if forgiven else "strict")
        forgiven.add(costly)
        reading = read_blocks(html, forgiven, reading)


def second_look(reading: Reading, look: SecondLook = _LOOK) -> list[Block]:
    """Return the blocks of a reading that pass the rules above."""
    blocks = _without_menus(_article(reading, look), look)
    blocks = _without_tail(blocks, look)
    blocks = _without_fragments(blocks, look)
    return _without_repeats(_without_closing(blocks, look))


def _costly_reason(html: str, reading: Reading, num_kept: int, look: SecondLook) -> str | int | None:
    """Return the reason that dropped far more running text than was kept; one element's place, where most of it is
    there.
    """
    if num_kept >= look.max_little_characters:
        return None
    least = max(_MIN_FORGIVEN_CHARACTERS, num_kept / look.min_kept_share if look.min_kept_share else math.inf)
    forgivable = (each for each in reading.cut.dropped if each.reason not in _NEVER_FORGIVEN)
    costs = costs_of(html, forgivable, least)
    costly = [reason for reason, cost in costs.items() if cost.num_characters >= least]
    if not costly:
        return None
    reason = max(costly, key=lambda reason: (reason not in _FORGIVEN_LAST, costs[reason].num_characters))
    return costs[reason].start if costs[reason].largest > _MOST * costs[reason].num_characters else reason


def _article(reading: Reading, look: SecondLook) -> list[Block]:
    """Return the blocks of the smallest element that holds most running text, below headline and lead; else all
    blocks.
    """
    blocks = reading.blocks
    running = [0, *accumulate(_num_running(block, look) for block in blocks)]
    least = max(look.min_article_share * running[-1], look.min_article_characters)
    holders = [span for span in reading.spans if running[span.stop] - running[span.start] >= least]
    if not holders:
        return blocks
    start, stop = min(holders, key=lambda span: span.stop - span.start)
    return _lead(blocks, start, look) + blocks[start:stop]


def _lead(blocks: list[Block], stop: int, look: SecondLook) -> list[Block]:
    """Return the headline above the article and the texts between the two."""
    headline = next((i for i in range(stop - 1, -1, -1) if blocks[i].kind == "h1"), None)
    start = max(0, stop - _NUM_LEAD_BLOCKS) if headline is None else headline + 1
    lead = [
        block
        for block in blocks[start:stop]
        if len(block.text) >= look.min_lead_characters and block.num_linked < _MAX_LEAD_LINK_SHARE * len(block.text)
    ]
    return lead if headline is None else [blocks[headline], *lead]


def _without_menus(blocks: list[Block], look: SecondLook) -> list[Block]:
    linked = [_is_linked(block, look) for block in blocks]
    dropped = [
        not _is_own(blocks, linked, i, look) if linked[i] else is_furniture(block, look.max_furniture_characters)
        for i, block in enumerate(blocks)
    ]
    for i in range(len(blocks) - 3, -1, -1):
        if dropped[i + 1] and dropped[i + 2] and _may_introduce(blocks[i]):
            dropped[i] = True
    return [block for block, gone in zip(blocks, dropped, strict=True) if not gone]


def _is_own(blocks: list[Block], linked: list[bool], i: int, look: SecondLook) -> bool:
    """Return whether a linked block is the article's: a heading or term with text behind it, or one sentence among
    text.
    """
    if i + 1 == len(blocks) or linked[i + 1]:
        return False
    if blocks[i].kind == "dt" or (blocks[i].kind in HEADINGS and blocks[i + 1].kind in _BEHIND_HEADINGS):
        return True
    if len(blocks[i + 1].text) < _MAX_INTRODUCTION_CHARACTERS:
        return False
    if blocks[i].kind in HEADINGS:
        return True
    return i > 0 and not linked[i - 1] and blocks[i].kind != BARE and _is_sentence(blocks[i].text, look)


def _without_tail(blocks: list[Block], look: SecondLook) -> list[Block]:
    last = next((i for i in range(len(blocks) - 1, -1, -1) if _is_sentence(blocks[i].text, look)), len(blocks))
    tail = [block for block in blocks[last + 1 :] if block.kind != BARE]
    while tail and tail[-1].kind in HEADINGS:
        tail.pop()
    return blocks[: last + 1] + tail


def _without_fragments(blocks: list[Block], look: SecondLook) -> list[Block]:
    """Return the blocks without bare fragments and teasers, where paragraphs are marked up as such."""
    in_paragraphs = [block.kind in ("p", "li") for block in blocks]
    num_in_paragraphs = sum(len(block.text) for block, is_in in zip(blocks, in_paragraphs, strict=True) if is_in)
    if num_in_paragraphs < look.min_paragraph_share * _num_characters(blocks):
        return blocks
    sentences = (i for i in range(len(blocks) - 1, -1, -1) if in_paragraphs[i] and _is_sentence(blocks[i].text, look))
    last = next(sentences, len(blocks))
    return [
        block for i, block in enumerate(blocks) if block.kind != BARE or (i <= last and not _is_fragment(block, look))
    ]


def _is_fragment(block: Block, look: SecondLook) -> bool:
    """Return whether bare text is not a line of an article: a few words, or a link, and no end of a sentence."""
    if block.text.endswith((*SENTENCE_ENDS, ":")) or "\n" in block.text:
        return False
    return block.num_linked > 0 or len(block.text.split()) <= look.max_fragment_words


def _without_closing(blocks: list[Block], look: SecondLook) -> list[Block]:
    remaining = look.closing_share * _num_characters(blocks)
    kept: list[Block] = []
    for i in range(len(blocks) - 1, -1, -1):
        remaining -= len(blocks[i].text)
        if remaining < 0:
            return blocks[: i + 1] + kept[::-1]
        if not closes_page(blocks[i], look.max_furniture_characters):
            kept.append(blocks[i])
    return kept[::-1]


def _without_repeats(blocks: list[Block]) -> list[Block]:
    """Return the blocks without runs that stand on the page before, where a run is too long for a refrain."""
    if len({block.text for block in blocks}) == len(blocks):
        return blocks
    first: dict[str, int] = {}
    kept: list[Block] = []
    i = 0
    while i < len(blocks):
        earlier = first.get(blocks[i].text)
        length = 0 if earlier is None else _run_length(blocks, earlier, i)
        if sum(len(block.text) for block in blocks[i : i + length]) >= _MIN_REPEATED_CHARACTERS:
            i += length
            continue
        first.setdefault(blocks[i].text, i)
        kept.append(blocks[i])
        i += 1
    return kept


def _run_length(blocks: list[Block], earlier: int, later: int) -> int:
    length = 0
    while later + length < len(blocks) and earlier + length < later:
        if blocks[earlier + length].text != blocks[later + length].text:
            break
        length += 1
    return length


def _is_linked(block: Block, look: SecondLook) -> bool:
    """Return whether it is mostly links; a sentence may hold more of them."""
    if not block.num_linked or _ADDRESS.fullmatch(block.text):
        return False
    is_sentence = block.text.endswith(SENTENCE_ENDS) or block.kind == "tr"
    share = look.max_link_share_of_sentences if is_sentence else look.max_link_share
    return block.num_linked > len(block.text) * share


def _num_running(block: Block, look: SecondLook) -> int:
    """Return the number of unlinked characters of a block of running text, and 0 for any other block."""
    num_characters = len(block.text)
    is_running = num_characters >= look.min_sentence_characters and block.num_linked < 0.5 * num_characters
    return num_characters - block.num_linked if is_running else 0


def _is_sentence(text: str, look: SecondLook) -> bool:
    """Return whether it is long enough, and ends, like running text."""
    return len(text) >= look.min_sentence_characters and text.endswith(SENTENCE_ENDS)


def _may_introduce(block: Block) -> bool:
    """Return whether it may be the title of the blocks behind it."""
    is_title = block.kind in HEADINGS[1:] or block.kind in (BARE, "p")
    is_short = len(block.text) <= _MAX_INTRODUCTION_CHARACTERS
    return is_title and is_short and not block.text.endswith((".", "!", "”"))


def _num_characters(blocks: Sequence[Block]) -> int:
    return sum(len(block.text) for block in blocks)
