"""Character, byte and word tokenizers, and a comparison of BPE with them under one protocol.

Characters and words outside the vocabulary become id 0 and are lost; bytes and BPE lose nothing.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lm.errors import InputError

UNKNOWN = "�"


class TextTokenizer(Protocol):
    """The interface of the compared tokenizers, which `Tokenizer` has too."""

    @property
    def vocab_size(self) -> int:
        """Return the number of ids."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`."""
        ...


class _ListedTokenizer:
    """A tokenizer with a list of pieces as its tokens; id 0 is any other piece."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self._pieces = [UNKNOWN, *pieces]
        self._ids = {piece: i for i, piece in enumerate(self._pieces) if i}

    @property
    def vocab_size(self) -> int:
        """Return the number of ids, the unknown one included."""
        return len(self._pieces)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`, with U+FFFD for the unknown one.

        Raises:
            InputError: an id lies outside the vocabulary.
        """
        wrong = next((i for i in ids if not 0 <= i < self.vocab_size), None)
        if wrong is not None:
            raise InputError(f"token id {wrong}, expected 0 to {self.vocab_size - 1}")
        return "".join(self._pieces[i] for i in ids)


class CharacterTokenizer(_ListedTokenizer):
    """A tokenizer with one token per character."""

    @classmethod
    def train(cls, documents: Iterable[str], vocab_size: int) -> CharacterTokenizer:
        """Return a tokenizer of the most frequent characters of `documents`."""
        return cls(_most_frequent(documents, vocab_size - 1))

    def encode(self, text: str) -> list[int]:
        """Return the ids of the characters."""
        return [self._ids.get(character, 0) for character in text]


class WordTokenizer(_ListedTokenizer):
    """A tokenizer with one token per pre-token of GPT-2's pattern: a word with the space before it, a number, marks."""

    @classmethod
    def train(cls, documents: Iterable[str], vocab_size: int) -> WordTokenizer:
        """Return a tokenizer of the most frequent words of `documents`."""
        return cls(_most_frequent(map(_words, documents), vocab_size - 1))

    def encode(self, text: str) -> list[int]:
        """Return the ids of the words."""
        return [self._ids.get(word, 0) for word in _words(text)]


class ByteTokenizer:
    """A tokenizer with one token per byte of UTF-8, the byte's value as its id."""

    vocab_size = 256

    def encode(self, text: str) -> list[int]:
        """Return the bytes."""
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of the bytes.

        Raises:
            InputError: an id is not a byte.
        """
        try:
            return bytes(ids).decode(errors="replace")
        except ValueError:
            raise InputError("token id that is not a byte, expected 0 to 255") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The measurements of one tokenizer on some texts. Fertility is tokens per word between white space."""

    vocab_size: int
    num_tokens: int
    bytes_per_token: float
    fertility: float
    unknown_share: float
    tokens_per_s: float


def compare(tokenizer: TextTokenizer, texts: Sequence[str]) -> Comparison:
    """Encode `texts` and return the measurements.

    Raises:
        InputError: there is no text.
    """
    started = time.perf_counter()
    encoded = [tokenizer.encode(text) for text in texts]
    elapsed_s = time.perf_counter() - started
    num_tokens, num_words = sum(map(len, encoded)), sum(len(text.split()) for text in texts)
    if not num_tokens:
        raise InputError("no text to compare tokenizers on")
    unknown = sum(ids.count(0) for ids in encoded) if isinstance(tokenizer, _ListedTokenizer) else 0
    return Comparison(
        vocab_size=tokenizer.vocab_size,
        num_tokens=num_tokens,
        bytes_per_token=sum(len(text.encode()) for text in texts) / num_tokens,
        fertility=num_tokens / max(1, num_words),
        unknown_share=unknown / num_tokens,
        tokens_per_s=num_tokens / max(elapsed_s, 1e-9),
    )


def split(tokenizer: TextTokenizer, text: str) -> list[str]:
    """Return the text of each token of `text`, decoded by itself."""
    return [tokenizer.decode([i]) for i in tokenizer.encode(text)]


def baselines(documents: Sequence[str], vocab_size: int) -> dict[str, TextTokenizer]:
    """Train the three baselines on `documents`, with at most `vocab_size` ids."""
    return {
        "character": CharacterTokenizer.train(documents, vocab_size),
        "byte": ByteTokenizer(),
        "word": WordTokenizer.train(documents, vocab_size),
    }


def _most_frequent(pieces: Iterable[Iterable[str]], number: int) -> list[str]:
    """Return the `number` most frequent pieces; of equally frequent ones the lesser first."""
    counts = Counter(itertools.chain.from_iterable(pieces))
    return sorted(counts, key=lambda piece: (-counts[piece], piece))[:number]


def _words(text: str) -> list[str]:
    from lm.tokenizer.pretokenizing.pretokenize import pre_tokens

    return pre_tokens(text, "gpt2")
