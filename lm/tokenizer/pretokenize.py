"""Pre-tokens: the pieces of text inside which pairs are merged.

gpt2     the pattern of GPT-2 (Radford et al. 2019): contractions, words with the space before them, numbers,
marks, white space digits   the same with every digit alone and without a space, so that a number is always
written in the same ids
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from types import MappingProxyType

import regex

from lm.configuration import unknown_key
from lm.errors import ConfigurationError

PATTERNS = MappingProxyType(
    {
        "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        "digits": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    }
)


def pre_tokens(text: str, pattern: str) -> Iterator[str]:
    """The pieces of `text`, in order; joined they are `text` again."""
    return (match.group() for match in compiled(pattern).finditer(text))


@lru_cache(maxsize=8)
def compiled(pattern: str) -> regex.Pattern[str]:
    """The compiled pattern of one of the names in `PATTERNS`.

    Raises:
        ConfigurationError: another name.
    """
    if pattern not in PATTERNS:
        raise ConfigurationError(unknown_key(pattern, PATTERNS, "tokenizer.pattern"))
    return regex.compile(PATTERNS[pattern])


def special_splitter(names: frozenset[str]) -> regex.Pattern[str]:
    """A pattern that finds the special tokens `names`, of overlapping ones the longest."""
    alternatives = "|".join(regex.escape(name) for name in sorted(names, key=len, reverse=True))
    return regex.compile(f"({alternatives})")
