"""Line corrections of C4 and RefinedWeb, made before a page is judged.

What a policy or a sign-in link reads like depends on the language (`pipelines.filters.language_rules`); English phrases
are looked for in every language.

Sources: [C] Raffel et al. 2020, section 2.2; [R] Penedo et al. 2023, appendix G.2, table 15.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.filters.language_rules import ENGLISH, FURNITURE

_TERMINAL = (".", "!", "?", '"', "”")
_OTHER_TERMINAL = ("“", "»", "«", "’", "؟", "۔", "।", "॥", "։", "።", "。", "！", "？", "」", "』")
_COUNTER = r"^\W{0,3}\d[\d.,]{0,12}[km]?\s?[^\W\d]{1,20}\W{0,3}$"  # 3 likes
_MAX_WORDS_BOILERPLATE = 10
_MAX_WORD_CHARACTERS = 1000  # in C4's code, not in its paper
_UPPER_SHARE = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """A text without the lines that were dropped, and the share of its words that went with them."""

    text: str
    dropped_share: float


def correct_c4(text: str, language: str = ENGLISH) -> Correction:
    """Keep lines of 5 words or more that end in terminal punctuation and name no Javascript or policy, and cut [1]
    (C4).
    """
    phrases, ends = _phrases(language), _TERMINAL if language == ENGLISH else _TERMINAL + _OTHER_TERMINAL
    return _drop_lines(
        phrases.citation.sub("", text),
        lambda line: not _is_ended(line, ends) or _is_short(line, 5) or _is_notice(line, phrases),
    )


def correct_c4_for_fineweb(text: str, language: str = ENGLISH) -> Correction:
    """Correct lines by C4's rules as FineWeb applies them: with any end of a line, and with 3 words instead of 5."""
    phrases = _phrases(language)
    return _drop_lines(phrases.citation.sub("", text), lambda line: _is_short(line, 3) or _is_notice(line, phrases))


def correct_refinedweb(text: str, language: str = ENGLISH) -> Correction:
    """Drop lines mainly in upper case, of numbers, of one word, counters ("3 likes") and short navigation
    (RefinedWeb).
    """
    phrases = _phrases(language)
    return _drop_lines(text, lambda line: _is_navigation(line, phrases))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Phrases:
    """The phrases of one language."""

    policy: tuple[str, ...]
    navigation: re.Pattern[str]
    citation: re.Pattern[str]


@functools.cache
def _phrases(language: str) -> _Phrases:
    known = [FURNITURE[code] for code in dict.fromkeys((ENGLISH, language)) if code in FURNITURE]
    sign_in, read_more, cart, citation = (
        "|".join(re.escape(phrase) for each in known for phrase in getattr(each, name))
        for name in ("sign_in", "read_more", "cart", "citation")
    )
    return _Phrases(
        policy=tuple(phrase for each in known for phrase in each.policy),
        navigation=re.compile(
            rf"{_COUNTER}|^\W{{0,3}}(?:{sign_in})\b|\b(?:{read_more})\W{{0,6}}$|\b(?:{cart})\b", re.IGNORECASE
        ),
        citation=re.compile(rf"\[(?:\d{{1,4}}|{citation})\]"),
    )


def _drop_lines(text: str, unwanted: Callable[[str], bool]) -> Correction:
    """Return `text` without its unwanted lines; empty lines stay, they part the paragraphs."""
    kept, num_words, num_dropped = [], 0, 0
    for line in text.split("\n"):
        stripped = line.strip()
        words = len(stripped.split())
        num_words += words
        if words and unwanted(stripped):
            num_dropped += words
        else:
            kept.append(line)
    return Correction(text="\n".join(kept).strip("\n"), dropped_share=num_dropped / max(1, num_words))


def _is_ended(line: str, ends: tuple[str, ...]) -> bool:
    return line.endswith(ends) and not line.endswith("...")


def _is_short(line: str, min_words: int) -> bool:
    return len(line.split(maxsplit=min_words)) < min_words


def _is_notice(line: str, phrases: _Phrases) -> bool:
    """Return whether a line is a notice (browser, terms, policy) or not text."""
    lowered = line.lower()
    if "javascript" in lowered or any(phrase in lowered for phrase in phrases.policy):
        return True
    return len(line) > _MAX_WORD_CHARACTERS and max(map(len, line.split())) > _MAX_WORD_CHARACTERS


def _is_navigation(line: str, phrases: _Phrases) -> bool:
    words = len(line.split())
    if words == 1 or (not line.islower() and _is_shouting_or_numbers(line)):
        return True
    return words <= _MAX_WORDS_BOILERPLATE and phrases.navigation.search(line) is not None


def _is_shouting_or_numbers(line: str) -> bool:
    letters = sum(map(str.isalpha, line))
    return letters == 0 or sum(map(str.isupper, line)) > _UPPER_SHARE * letters
