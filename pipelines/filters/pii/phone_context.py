"""Context words of a number: signs of a phone number or of another kind of number.

The nearest word before the number decides, within a line and behind the number before it. A word right beside the
number is a strong sign; one a few words away ("call our office any day at …") is a weak one.
"""

from __future__ import annotations

import re
from enum import IntEnum

from pipelines.filters.pii.phone_words import (
    LABELS,
    LINKING_WORDS,
    NUMBER_WORDS,
    OTHER_STEMS,
    OTHER_WORDS,
    PHONE_STEMS,
    PHONE_WORDS,
    POSSESSIVES,
    SIGNS,
)

MASK = "|||PHONE_NUMBER|||"
_WINDOW = 48
_BEHIND = 18
_MAX_GAP = 30
_MAX_LABEL = 24
_MAX_LINKING = 5
_MAX_CHAIN = 12

_WORD = re.compile(r"[^\W\d_]+")
_SIGN = re.compile(SIGNS)
_CURRENCY = re.compile("[€$£¥§]")
_SENTENCE_END = re.compile(r"[.!?]\s+[A-ZÀ-ÞА-Я]|[;|]")
_LONG_NUMBER = re.compile(r"\d(?:[ .\-/()]?\d){5}")
_AFTER = re.compile(
    r"[\s,–-]{0,3}\(?\s?(?:(?:tele)?phone|tel|fax|mobile|cell|office|home|work|direct|toll[\s-]?free|voice|text|handy"
    r"|mobil|portable|móvil|celular|cellulare|gsm)(?![^\W_])|\s?\((?:[tmfhowc]|mob|off|res)\.?\)",
    re.IGNORECASE,
)
_CHAIN = re.compile(
    r"[^\w\n]*(?:(?:or|and|oder|und|ou|et|o|y|e|u|i|a|og|och|en|of|или|и|fax|ext)\b)?[^\w\n]*", re.IGNORECASE
)


class Sign(IntEnum):
    """The kinds of context of a number."""

    OTHER = -1
    NOTHING = 0
    WEAK_PHONE = 1
    PHONE = 2


def sign_at(text: str, start: int, stop: int, last_phone: int, last_taken: int) -> Sign:
    """Return the kind of the number at `start` to `stop` by its context.

    The phone number before it ended at `last_phone`, and the personal data before it at `last_taken`.
    """
    if _follows_phone(text, start, last_phone):
        return Sign.PHONE
    before = _before(text, start, max(last_phone, last_taken))
    said = _said_before(before)
    if said is Sign.NOTHING and _AFTER.match(text, stop, stop + _BEHIND):
        return Sign.PHONE
    return said


def _before(text: str, start: int, first: int) -> str:
    """Return the text before a number: of its line and of a label above it, and behind the last long number or mask,
    which has words of its own.
    """
    above, _, line = text[max(0, start - _WINDOW, first) : start].rpartition("\n")
    label = above.rpartition("\n")[2]
    if len(label) <= _MAX_LABEL and _WORD.search(line) is None:
        line = f"{label} {line}"
    before = line.rpartition("|||")[2]
    numbers = _LONG_NUMBER.findall(before)
    return before.rpartition(numbers[-1])[2] if numbers else before


def _said_before(before: str) -> Sign:
    if not before.isascii() and (found := list(_SIGN.finditer(before))):
        return Sign.PHONE if len(before) - found[-1].end() <= _MAX_GAP else Sign.NOTHING
    money = _CURRENCY.search(before[-2:])
    if money is not None:
        return Sign.OTHER
    if not before:
        return Sign.NOTHING
    words = list(_WORD.finditer(before))
    for place in range(len(words) - 1, -1, -1):
        said = _said_by(before, words, place)
        if said is not Sign.NOTHING:
            return _at_a_distance(said, before[words[place].end() :], len(words) - 1 - place)
    return Sign.NOTHING


def _said_by(before: str, words: list[re.Match[str]], place: int) -> Sign:
    word = words[place][0].lower()
    previous = words[place - 1][0].lower() if place else ""
    if word in PHONE_WORDS or word.startswith(PHONE_STEMS):
        is_city = word == "tel" and place + 1 < len(words) and words[place + 1][0].lower() == "aviv"
        return Sign.NOTHING if is_city else Sign.PHONE
    if word in LABELS and before[words[place].end() :].lstrip()[:1] in (":", "."):
        return Sign.PHONE if len(word) > 1 or place == len(words) - 1 else Sign.NOTHING
    if word in NUMBER_WORDS and previous in POSSESSIVES:
        return Sign.PHONE
    return Sign.OTHER if word in OTHER_WORDS or word.startswith(OTHER_STEMS) else Sign.NOTHING


def _at_a_distance(said: Sign, gap: str, num_words: int) -> Sign:
    """Return the sign of a word across a gap of so many words."""
    if len(gap) > _MAX_GAP:
        return Sign.NOTHING
    if said is Sign.OTHER:
        return said
    if num_words <= _MAX_LINKING and all(word.lower() in LINKING_WORDS for word in _WORD.findall(gap)):
        return Sign.PHONE
    return Sign.NOTHING if _SENTENCE_END.search(gap) else Sign.WEAK_PHONE


def _follows_phone(text: str, start: int, last_phone: int) -> bool:
    mask = text.rfind(MASK, max(0, start - _MAX_CHAIN - len(MASK)), start)
    previous = max(last_phone, mask + len(MASK) if mask >= 0 else -1)
    return previous >= 0 and start - previous <= _MAX_CHAIN and _CHAIN.fullmatch(text, previous, start) is not None
