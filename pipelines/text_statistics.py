"""A linear walk over a text that finds its words, lines and paragraphs and counts all that the heuristics ask about.

Decisions: the text is walked as code points by compiled loops, beside a table that says of each code point what it is;
words, lines and paragraphs come out as 64-bit hashes with their lengths, so that repetition is counted on integers.
Time and memory are linear in the text.

    token      a run of characters between white space
    word       a token with a letter or digit in it, its outer punctuation stripped
    line       what stands between newlines, stripped; empty lines count only as newlines
    paragraph  lines joined until an empty line
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

SPACE, LETTER, DIGIT, END, BULLET = 1, 2, 4, 8, 16
"""What a code point is, as bits of the table: `END` ends a sentence or closes a quotation after it."""

_ENDS = '…"”’»'
_SENTENCE_TERMINAL = regex.compile(r"\p{Sentence_Terminal}")
_BULLETS = "•‣▶◀◦■□▪▫●○◆⁃∙·-–*"
_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
_WORD_COUNTERS = ("num_tokens", "num_words", "word_characters", "letter_tokens", "hashes", "ellipses", "stop_words")
_LINE_COUNTERS = (
    "newlines", "num_lines", "line_characters", "bullet_lines", "ellipsis_lines", "ended_lines", "short_lines",
)  # fmt: skip

Array = NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True, slots=True)
class TextStatistics:
    """Counts of one text, and its words, lines and paragraphs as parallel arrays of hashes and lengths in characters.

    The keys of `counts`: `num_tokens`, `num_words`, `word_characters`, `letter_tokens` (tokens with a letter), `hashes`
    (#), `ellipses`, `stop_words` (distinct ones of Gopher's eight), `newlines`, `num_lines`, `line_characters`, and
    lines by kind: `bullet_lines`, `ellipsis_lines`, `ended_lines` (ending in punctuation that ends a sentence),
    `short_lines` (at most 30 characters).
    """

    counts: dict[str, int]
    words: tuple[Array, Array]
    lines: tuple[Array, Array]
    paragraphs: tuple[Array, Array]


def measure(text: str) -> TextStatistics:
    """Walk `text` and count."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    from pipelines.text_kernels import walk_lines, walk_words

    words, of_words = walk_words(codes, _table(), _stop_word_keys())
    lines, paragraphs, of_lines = walk_lines(codes, _table())
    counts = dict(zip(_WORD_COUNTERS + _LINE_COUNTERS, of_words + of_lines, strict=True))
    return TextStatistics(counts=counts, words=words, lines=lines, paragraphs=paragraphs)


@functools.cache
def _table() -> NDArray[np.uint8]:
    """What each code point is, from Python's Unicode data."""
    table = np.zeros(sys.maxunicode + 1, np.uint8)
    for code in range(0x32000):  # the planes above hold no letters or spaces
        character = chr(code)
        table[code] = SPACE * character.isspace() | LETTER * character.isalpha() | DIGIT * character.isdigit()
    terminal = _SENTENCE_TERMINAL.findall("".join(chr(code) for code in range(0x32000) if not 0xD800 <= code < 0xE000))
    for bit, characters in ((END, (*_ENDS, *terminal)), (BULLET, _BULLETS)):
        table[[ord(character) for character in characters]] |= bit
    return table


@functools.cache
def _stop_word_keys() -> NDArray[np.uint32]:
    """The stop words as the walk packs words of up to four ASCII letters: one byte a letter."""
    return np.array([int.from_bytes(word.encode("ascii"), "big") for word in _STOP_WORDS], np.uint32)
