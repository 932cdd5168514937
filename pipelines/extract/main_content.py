"""The blocks of a page's main content: resiliparse's choice, and a second look at it.

`pipelines.extract.blocks` gives resiliparse's choice with the element of each block and how much of it is links. Over
that, five rules:

- Links. A block that is mostly links is a menu, or a list of other articles; a short line that introduces two such
  blocks ("You may also like") goes with them. An address written out is text.
- Furniture. Short blocks that speak of the page and not in it: cookies, sharing, advertisements, copyright.
- Fragments. Where most text stands in paragraphs, bare text that ends no sentence is a caption, a date or a button.
- Teasers. There, bare text behind the last sentence of a paragraph is about other articles.
- The end. Headings and bare text behind the last sentence belong to what came after the article; so does, in the last
  fifth of the text, a short block that offers a newsletter, thanks a colleague, or names the owner.

What many pages of one site share needs the other pages: `pipelines.extract.site_boilerplate`, once a partition is read.

`python -m benchmarks.curation` measures precision and recall over 4-token shingles on 92 news pages, and what the
thresholds of `SecondLook` are worth when chosen on one half of the pages and measured on the other. The words of the
patterns were written with all of the pages in view. A page's headline counts against precision there, for the truth
is the article's body; it is kept all the same, as text that is worth learning from.
Tried and dropped, since the F1 fell: cutting what stands before the first sentence (a title is followed by a short
summary); every list kept without a look at its links; every mostly linked sentence dropped; all bare text dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.extract.blocks import BARE, HEADINGS, Block, candidate_blocks

_MAX_INTRODUCTION_CHARACTERS = 60
_MAX_CONSENT_CHARACTERS = 600
_SENTENCE_ENDS = (".", "!", "?", "。", "！", "？", "”", '"', "…")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+")
_FURNITURE_START = re.compile(
    r"(?:©|\(c\)|copyright\b|advert(?:isement)?\b|sponsored\b)"
    r"|(?:share|tweet|print|e-?mail|save|pin|follow)(?: this| on| via| us|$)"
    r"|(?:read|see|show|load|view) (?:more|also|next|all)\b|(?:sign up|subscribe|log ?in|sign in|register)\b"
    r"|(?:related|recommended|more (?:from|on|in)|most (?:read|popular))\b"
    r"|(?:don['’]t miss|you (?:may|might) (?:also )?like)\b"
    r"|<\w{1,20}\b.*>$"
)
_CONSENT = re.compile(r"agree|accept|settings|consent|polic|experience|continu")
# No word border comes first in a branch, so that the search looks at each character's table entry and nothing else.
_CLOSING = re.compile(
    r"newsletter|subscribe|sign[ -]up|follow (?:us|him|her|me|them|@)|like us on|join (?:us|our)\b"
    r"|©|copyright|a(?<!\wa)ll comments|full coverage|click here|read more|first published"
    r"|contributed to this (?:report|story|article)|r(?<!\wr)eporting by\b|t(?<!\wt)ip\?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondLook:
    """The thresholds of the second look, in characters and in shares of characters."""

    max_link_share: float = 0.5
    """A block with a larger share of links is a menu's."""
    max_link_share_of_sentences: float = 0.9
    """The same for a block that ends like a sentence."""
    max_furniture_characters: int = 300
    """A longer block is no furniture, and closes nothing."""
    min_sentence_characters: int = 80
    """Running text is at least so long."""
    min_paragraph_share: float = 0.5
    """From this share of a page's text in paragraphs and list items on, bare text is looked at twice."""
    closing_share: float = 0.2
    """The share of the text, at its end, in which it is closed."""


def main_blocks(page: str) -> list[Block]:
    """The main content of a decoded page, block by block."""
    return second_look(candidate_blocks(page))


def second_look(blocks: list[Block], look: SecondLook | None = None) -> list[Block]:
    """What is left of `blocks` by the rules above."""
    look = look or _LOOK
    return _without_closing(_without_bare(_without_tail(_without_menus(blocks, look), look), look), look)


_LOOK = SecondLook()


def _without_menus(blocks: list[Block], look: SecondLook) -> list[Block]:
    dropped = [_is_linked(block, look) or _is_furniture(block.text, look) for block in blocks]
    for i in range(len(blocks) - 3, -1, -1):
        if dropped[i + 1] and dropped[i + 2] and _may_introduce(blocks[i]):
            dropped[i] = True
    return [block for block, gone in zip(blocks, dropped, strict=True) if not gone]


def _without_tail(blocks: list[Block], look: SecondLook) -> list[Block]:
    last = next((i for i in range(len(blocks) - 1, -1, -1) if _is_sentence(blocks[i].text, look)), len(blocks))
    return [block for i, block in enumerate(blocks) if i <= last or block.kind not in (*HEADINGS, BARE)]


def _without_bare(blocks: list[Block], look: SecondLook) -> list[Block]:
    """Bare fragments and teasers, where paragraphs are marked up as such."""
    in_paragraphs = [block.kind in ("p", "li") for block in blocks]
    num_characters = sum(len(block.text) for block in blocks)
    num_in_paragraphs = sum(len(block.text) for block, is_in in zip(blocks, in_paragraphs, strict=True) if is_in)
    if num_in_paragraphs < look.min_paragraph_share * num_characters:
        return blocks
    sentences = (i for i in range(len(blocks) - 1, -1, -1) if in_paragraphs[i] and _is_sentence(blocks[i].text, look))
    last = next(sentences, len(blocks))
    return [
        block
        for i, block in enumerate(blocks)
        if block.kind != BARE or (i <= last and block.text.endswith(_SENTENCE_ENDS))
    ]


def _without_closing(blocks: list[Block], look: SecondLook) -> list[Block]:
    remaining = look.closing_share * sum(len(block.text) for block in blocks)
    kept: list[Block] = []
    for i in range(len(blocks) - 1, -1, -1):
        text = blocks[i].text
        remaining -= len(text)
        if remaining < 0:
            return blocks[: i + 1] + kept[::-1]
        if len(text) > look.max_furniture_characters or _CLOSING.search(text.lower()) is None:
            kept.append(blocks[i])
    return kept[::-1]


def _is_linked(block: Block, look: SecondLook) -> bool:
    """Whether it is mostly links; a sentence may hold more of them."""
    if not block.num_linked or _ADDRESS.fullmatch(block.text):
        return False
    is_sentence = block.text.endswith(_SENTENCE_ENDS)
    share = look.max_link_share_of_sentences if is_sentence else look.max_link_share
    return block.num_linked > len(block.text) * share


def _is_furniture(text: str, look: SecondLook) -> bool:
    """Whether a block speaks of the page and not in it."""
    is_short = len(text) <= look.max_furniture_characters
    if not is_short and len(text) > _MAX_CONSENT_CHARACTERS:
        return False
    lowered = text.lower()
    if "cookies" in lowered and _CONSENT.search(lowered) is not None:
        return True
    return is_short and (_FURNITURE_START.match(lowered) is not None or "all rights reserved" in lowered)


def _is_sentence(text: str, look: SecondLook) -> bool:
    """Whether it is long enough, and ends, like running text."""
    return len(text) >= look.min_sentence_characters and text.endswith(_SENTENCE_ENDS)


def _may_introduce(block: Block) -> bool:
    """Whether it may be the title of the blocks behind it."""
    is_title = block.kind in HEADINGS[1:] or block.kind in (BARE, "p")
    is_short = len(block.text) <= _MAX_INTRODUCTION_CHARACTERS
    return is_title and is_short and not block.text.endswith((".", "!", "”"))
