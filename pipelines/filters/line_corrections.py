"""Corrections line by line, as C4 and RefinedWeb make them before they judge a page.

Sources: [C] Raffel et al. 2020, section 2.2; [R] Penedo et al. 2023, appendix G.2, table 15.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_TERMINAL = (".", "!", "?", '"', "”")
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_CITATION = re.compile(r"\[(?:\d{1,4}|edit|citation needed)\]")
_BOILERPLATE = re.compile(
    r"^\W{0,3}\d[\d.,]{0,12}[km]?\s?[^\W\d]{1,20}\W{0,3}$"  # a counter: 3 likes
    r"|^\W{0,3}(?:sign[ -]?in|log[ -]?in|sign[ -]?up)\b"
    r"|\bread more\W{0,6}$"
    r"|\bitems? in (?:your )?cart\b",
    re.IGNORECASE,
)
_MAX_WORDS_BOILERPLATE = 10
_MAX_WORD_CHARACTERS = 1000  # in C4's code, not in its paper
_UPPER_SHARE = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """A text without the lines that were dropped, and the share of its words that went with them."""

    text: str
    dropped_share: float


def correct_c4(text: str) -> Correction:
    """[C]: keep lines of 5 words or more that end in terminal punctuation and name no Javascript or policy; cut [1]."""
    return _drop_lines(
        _CITATION.sub("", text), lambda line: not _is_ended(line) or _is_short(line, 5) or _is_notice(line)
    )


def correct_c4_for_fineweb(text: str) -> Correction:
    """C4's corrections as FineWeb applies them: without asking how a line ends, and with 3 words instead of 5."""
    return _drop_lines(_CITATION.sub("", text), lambda line: _is_short(line, 3) or _is_notice(line))


def correct_refinedweb(text: str) -> Correction:
    """[R]: drop lines mainly in upper case, of numbers, of one word, counters ("3 likes") and short navigation."""
    return _drop_lines(text, _is_navigation)


def _drop_lines(text: str, unwanted: Callable[[str], bool]) -> Correction:
    """`text` without its unwanted lines; empty lines stay, they part the paragraphs."""
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


def _is_ended(line: str) -> bool:
    return line.endswith(_TERMINAL) and not line.endswith("...")


def _is_short(line: str, min_words: int) -> bool:
    return len(line.split(maxsplit=min_words)) < min_words


def _is_notice(line: str) -> bool:
    """Whether a line is for the reader's browser or lawyer, or no text at all."""
    lowered = line.lower()
    if "javascript" in lowered or any(phrase in lowered for phrase in _POLICY):
        return True
    return len(line) > _MAX_WORD_CHARACTERS and max(map(len, line.split())) > _MAX_WORD_CHARACTERS


def _is_navigation(line: str) -> bool:
    words = len(line.split())
    if words == 1 or (not line.islower() and _is_shouting_or_numbers(line)):
        return True
    return words <= _MAX_WORDS_BOILERPLATE and _BOILERPLATE.search(line) is not None


def _is_shouting_or_numbers(line: str) -> bool:
    letters = sum(map(str.isalpha, line))
    return letters == 0 or sum(map(str.isupper, line)) > _UPPER_SHARE * letters
