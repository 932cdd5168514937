"""Text that comes or goes in pieces: encoding a stream, decoding a stream, and where each token lies in a text."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from lm.tokenizer.patterns import special_splitter
from lm.tokenizer.pretokenizing.pretokenize import pre_tokens

_BLOCK_CHARACTERS = 1 << 15
_OPEN_PRE_TOKENS = 4
"""How many pre-tokens at the end of a text can still change when more text follows. A scanner looks past the end of a
pre-token at most over the two that follow it and a contraction; tests hold this for every pattern."""


class BytesDecoder(Protocol):
    """A decoder of ids to bytes, such as `Tokenizer`."""

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of `ids`."""
        ...


class StreamDecoder:
    """Turns ids into text one by one and never gives out half a character.

    Bytes that are no UTF-8 become U+FFFD as soon as that is certain.
    """

    def __init__(self, tokenizer: BytesDecoder) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """The characters that `token_id` completes, often none."""
        return self._decoder.decode(self._tokenizer.decode_bytes([token_id]))

    def finish(self) -> str:
        """What is left: U+FFFD where the ids ended inside a character, else nothing."""
        text = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return text


def final_parts(texts: Iterable[str], pattern: str, special_tokens: Collection[str] = ()) -> Iterator[str]:
    """The concatenated `texts`, cut where no pre-token and no special token is cut whatever follows.

    Encoded one by one, the parts have the ids of the whole. Memory holds some 100 kB, or the longest pre-token.
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
                wanted = max(_BLOCK_CHARACTERS, 2 * size)  # a long pre-token is looked at O(log n) times
    yield "".join(held)


def _final_characters(text: str, pattern: str, special_tokens: Collection[str]) -> int:
    """How many characters at the start of `text` are cut the same whatever follows it."""
    cut, start = len(text), 0
    if special_tokens:
        cut -= max(map(len, special_tokens)) - 1  # a special token that starts before has all its characters here
        for match in special_splitter(special_tokens).finditer(text):
            if match.start() >= cut:
                break
            start = match.end()
    if start >= cut:
        return start
    pieces = pre_tokens(text[start:cut], pattern)
    return start + sum(map(len, pieces[:-_OPEN_PRE_TOKENS]))


def character_spans(text: str, token_lengths: Sequence[int]) -> list[tuple[int, int]]:
    """The span of characters in which each token lies, from the tokens' lengths in bytes."""
    if not token_lengths:
        return []
    data = np.frombuffer(text.encode(), np.uint8)
    character = np.cumsum((data & 0xC0) != 0x80) - 1
    ends = np.cumsum(token_lengths)
    first, last = character[ends - token_lengths], character[ends - 1]
    return list(zip(first.tolist(), (last + 1).tolist(), strict=True))
