"""Text in pieces: parts that encode as the whole does, a streaming decoder, and the character span of each token.

`final_parts` relies on two facts about every pattern, which hold because no expression looks behind:

- More text changes only the last two pre-tokens. A scan that stopped before the end of the text is final. The others
  are that of the last pre-token, or of the one before where the expression stepped back: `'` and `l` before `'ll`,
  `Aʰ` and `BC` before `AʰBCd`, a line end and a space before more line ends.
- Only white space is cut differently at the end of a text (`\\s+(?!\\S)`). A part whose last pre-token is not all
  white space has therefore the same pre-tokens alone and within the whole.
"""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from lm.tokenizer.patterns import special_splitter
from lm.tokenizer.pretokenizing.pretokenize import pre_tokens

_BLOCK_CHARACTERS = 1 << 15
_OPEN_PRE_TOKENS = 2
"""The number of pre-tokens at the end of a text that more text can change."""


class BytesDecoder(Protocol):
    """A decoder of ids to bytes, such as `Tokenizer`."""

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of `ids`."""
        ...


class StreamDecoder:
    """A decoder from single ids to text that returns whole characters only.

    Bytes that are not UTF-8 become U+FFFD as soon as that is certain.
    """

    def __init__(self, tokenizer: BytesDecoder) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """Return the characters that `token_id` completes, often none."""
        return self._decoder.decode(self._tokenizer.decode_bytes([token_id]))

    def finish(self) -> str:
        """Return U+FFFD where the ids ended inside a character, else nothing."""
        text = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return text


def final_parts(texts: Iterable[str], pattern: str, special_tokens: Collection[str] = ()) -> Iterator[str]:
    """Yield the concatenated `texts` in parts whose pre-tokens and special tokens, joined, are those of the whole.

    Memory holds some 100 kB, or the longest pre-token.
    """
    held, size, wanted = [""], 0, _BLOCK_CHARACTERS
    for text in texts:
        for start in range(0, len(text), _BLOCK_CHARACTERS):
            held.append(text[start : start + _BLOCK_CHARACTERS])
            size += len(held[-1])
            if size >= wanted:
                buffer = "".join(held)
                end = _final_characters(buffer, pattern, special_tokens)
                yield buffer[:end]
                held, size = [buffer[end:]], len(buffer) - end
                wanted = max(_BLOCK_CHARACTERS, 2 * size)  # a long pre-token is scanned O(log n) times
    yield "".join(held)


def _final_characters(text: str, pattern: str, special_tokens: Collection[str]) -> int:
    """Return the length of the longest start of `text` that may be a part, whatever follows `text`."""
    cut, start = len(text), 0
    if special_tokens:
        cut -= max(map(len, special_tokens)) - 1  # a special token that starts before has all its characters here
        for match in special_splitter(frozenset(special_tokens)).finditer(text):
            if match.start() >= cut:
                break
            start = match.end()
    if start >= cut:
        return start
    pieces = pre_tokens(text[start:cut], pattern)[:-_OPEN_PRE_TOKENS]
    while pieces and pieces[-1].isspace():
        pieces.pop()
    return start + sum(map(len, pieces))


def character_spans(text: str, token_lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Return the span of characters that each token touches, given the tokens' lengths in bytes."""
    if not token_lengths:
        return []
    data = np.frombuffer(text.encode(), np.uint8)
    character = np.cumsum((data & 0xC0) != 0x80) - 1
    ends = np.cumsum(token_lengths)
    first, last = character[ends - token_lengths], character[ends - 1]
    return list(zip(first.tolist(), (last + 1).tolist(), strict=True))
