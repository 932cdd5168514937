"""Statistics of a text for the heuristic rules: words, lines and paragraphs, counted in one linear walk.

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
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.filters.code_points import kinds_of_code_points

_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
_WORD_COUNTERS = ("num_tokens", "num_words", "word_characters", "letter_tokens", "hashes", "ellipses", "stop_words")
_LINE_COUNTERS = (
    "newlines", "num_lines", "line_characters", "bullet_lines", "ellipsis_lines", "ended_lines", "short_lines",
    "bullet_items", "ellipsis_characters", "running_words",
)  # fmt: skip

Array = NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True, slots=True)
class TextStatistics:
    """Counts of one text, and its words, lines and paragraphs as parallel arrays of hashes and lengths in characters.

    The keys of `counts`: `num_tokens`, `num_words`, `word_characters`, `letter_tokens` (tokens with a letter), `hashes`
    (#), `ellipses`, `stop_words` (distinct ones of Gopher's eight), `newlines`, `num_lines`, `line_characters`, and
    lines by kind: `bullet_lines`, `ellipsis_lines`, `ended_lines` (ending in punctuation that ends a sentence),
    `short_lines` (at most 30 characters), `bullet_items` (beginning with a bullet, not ended); `ellipsis_characters`,
    those of the ellipsis lines; and `running_words`, the tokens of lines that are ended or have at least six.
    """

    counts: dict[str, int]
    words: tuple[Array, Array]
    lines: tuple[Array, Array]
    paragraphs: tuple[Array, Array]


def measure(text: str) -> TextStatistics:
    """Walk `text` and count."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    from pipelines.filters.text_kernels import walk_lines, walk_words

    words, of_words = walk_words(codes, kinds_of_code_points(), _stop_word_keys())
    lines, paragraphs, of_lines = walk_lines(codes, kinds_of_code_points())
    counts = dict(zip(_WORD_COUNTERS + _LINE_COUNTERS, of_words + of_lines, strict=True))
    return TextStatistics(counts=counts, words=words, lines=lines, paragraphs=paragraphs)


@functools.cache
def _stop_word_keys() -> NDArray[np.uint32]:
    """The stop words as the walk packs words of up to four ASCII letters: one byte a letter."""
    return np.array([int.from_bytes(word.encode("ascii"), "big") for word in _STOP_WORDS], np.uint32)
