"""Pre-token patterns: the boundaries that no merge crosses, as regular expressions.

Each expression defines its pattern, in the syntax of the `regex` module. Only tests run the expressions: the scanners
in `lm.tokenizer.pretokenizing` split bytes and are tested against them.

gpt2        contractions, words with the space before them, numbers, marks, white space (Radford et al. 2019)
digits      as gpt2, but every digit is a pre-token without a space, so that a number always has the same ids;
            arithmetic is easier to learn from single digits (Nogueira et al. 2021, arXiv:2102.13019)
cl100k      OpenAI's cl100k_base: contractions in any case, at most three digits, a mark before a word is part of it,
            line ends apart from other white space, but all white space at the end of a text together
llama3      as cl100k was first published and in Llama 3: white space at the end of a text is not a special case
o200k       OpenAI's o200k_base: as llama3, words also cut where lower case turns to upper, contractions at the word
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType

from lm.configuration import unknown_key
from lm.errors import ConfigurationError

_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS_AND_MARKS = _CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
_O200K_WORDS = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}]*[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}]+{_CONTRACTION}?|"
    rf"[^\r\n\p{{L}}\p{{N}}]?[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}]+[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}]*{_CONTRACTION}?|"
)

PATTERNS = MappingProxyType(
    {
        "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        "digits": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        "cl100k": _WORDS_AND_MARKS + r"|\s+(?![\s\S])|\s*[\r\n]+|\s+(?!\S)|\s+",
        "llama3": _WORDS_AND_MARKS + r"|\s*[\r\n]+|\s+(?!\S)|\s+",
        "o200k": _O200K_WORDS + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    }
)

OTHER_SPELLINGS = MappingProxyType(
    {
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s": "cl100k",
        r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s": "gpt2",
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+": "gpt2",
    }
)
"""Expressions that OpenAI writes with the same matches, in tiktoken. To the engine of `tokenizers` its `{1,3}+` and
`$` mean other things, so what we write there is spelled without them."""


def check_pattern(name: str) -> str:
    """Return `name` where a pattern has that name.

    Raises:
        ConfigurationError: no pattern has that name.
    """
    if name not in PATTERNS:
        raise ConfigurationError(unknown_key(name, PATTERNS, "tokenizer.pattern"))
    return name


@lru_cache(maxsize=64)
def special_splitter(names: frozenset[str]) -> re.Pattern[str]:
    """Return an expression that matches the special tokens `names`; of overlapping ones the first, then the longest."""
    alternatives = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(f"({alternatives})")
