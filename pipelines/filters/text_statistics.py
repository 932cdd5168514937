"""Statistics of texts for the heuristic rules: words, lines and paragraphs, counted in one linear walk.

Decisions: a compiled loop walks the UTF-8 bytes of a batch, beside a table that says of each code point what it is;
words, lines and paragraphs come out as 64-bit hashes with their lengths, so that repetition is counted on integers.
Time and memory are linear in the texts.

    token      a run of characters between white space
    word       a token with a letter or digit in it, its outer punctuation stripped
    line       what stands between newlines, stripped; empty lines count only as newlines
    paragraph  lines joined until an empty line
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.documents.text_buffers import Texts, text_buffers
from pipelines.filters.code_points import kinds_of_code_points

_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
_WORD_COUNTERS = ("num_tokens", "num_words", "word_characters", "letter_tokens", "hashes", "ellipses", "stop_words")
_LINE_COUNTERS = (
    "newlines", "num_lines", "line_characters", "bullet_lines", "ellipsis_lines", "ended_lines", "short_lines",
    "bullet_items", "ellipsis_characters", "running_words",
)  # fmt: skip

Array = NDArray[np.uint64]
Indices = NDArray[np.int64]


class Items(NamedTuple):
    """The words, the lines or the paragraphs of texts: hashes and lengths in characters, those of text `i` from
    `borders[i]` to `borders[i + 1]`.
    """

    hashes: Array
    lengths: Array
    borders: Indices

    def of(self, text: int) -> tuple[Array, Array]:
        """Return the hashes and lengths of one text."""
        first, last = self.borders[text], self.borders[text + 1]
        return self.hashes[first:last], self.lengths[first:last]


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


class Measured(NamedTuple):
    """The statistics of several texts, as `TextStatistics` has them of one; `counts` has a row for each text."""

    counts: Indices
    words: Items
    lines: Items
    paragraphs: Items

    def by_text(self) -> list[TextStatistics]:
        """Return the statistics of each text."""
        return [
            TextStatistics(
                counts=dict(zip(_WORD_COUNTERS + _LINE_COUNTERS, row, strict=True)),
                words=self.words.of(text),
                lines=self.lines.of(text),
                paragraphs=self.paragraphs.of(text),
            )
            for text, row in enumerate(self.counts.tolist())
        ]


def measure(text: str) -> TextStatistics:
    """Walk `text` and count."""
    return measure_all([text]).by_text()[0]


def measure_all(texts: Texts) -> Measured:
    """Walk `texts` and count; half a surrogate pair is a code point as others are."""
    from pipelines.filters.text_kernels import walk

    data, offsets = text_buffers(texts) if isinstance(texts, pa.Array) else _encoded(texts)
    counts, *items = walk(data, offsets, kinds_of_code_points(), _stop_word_keys())
    return Measured(counts, *(Items(*each) for each in items))


def _encoded(texts: Sequence[str]) -> tuple[NDArray[np.uint8], Indices]:
    """Return the same as `text_buffers`, of texts that Arrow may refuse."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    offsets.flags.writeable = False
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


@functools.cache
def _stop_word_keys() -> NDArray[np.uint32]:
    """Return the stop words as the walk packs words of up to four ASCII letters: one byte a letter."""
    return np.array([int.from_bytes(word.encode("ascii"), "big") for word in _STOP_WORDS], np.uint32)
