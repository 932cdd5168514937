"""Byte-pair encoding in plain Python, by its definition: the reference for the compiled code in tests.

Source: Sennrich et al. 2016 (arXiv:1508.07909), on bytes as in GPT-2. Needs the `regex` module.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from lm.tokenizer.patterns import PATTERNS

Pair = tuple[bytes, bytes]


def pre_tokens(text: str, pattern: str) -> list[str]:
    """Return the matches of the pattern's regular expression."""
    import regex

    return regex.findall(PATTERNS[pattern], text)


def train(documents: Iterable[str], num_merges: int, pattern: str) -> list[Pair]:
    """Return `num_merges` merges: each of the most frequent pair, of equals the greatest, with all pairs counted
    anew.
    """
    counts = Counter(piece.encode() for text in documents for piece in pre_tokens(text, pattern))
    words = [([bytes([byte]) for byte in word], count) for word, count in counts.items()]
    merges: list[Pair] = []
    while len(merges) < num_merges:
        pairs: Counter[Pair] = Counter()
        for tokens, count in words:
            for pair in itertools.pairwise(tokens):
                pairs[pair] += count
        if not pairs:
            break
        merges.append(max(pairs, key=lambda pair: (pairs[pair], pair)))
        words = [(merge(tokens, merges[-1]), count) for tokens, count in words]
    return merges


def encode(
    text: str, ids: Mapping[bytes, int], merges: Sequence[Pair], pattern: str, *, ignore_merges: bool = False
) -> list[int]:
    """Return the ids after all merges, one after the other, in each pre-token.

    With `ignore_merges` a pre-token that has an id takes it.
    """
    found: list[int] = []
    for piece in pre_tokens(text, pattern):
        if ignore_merges and piece.encode() in ids:
            found.append(ids[piece.encode()])
            continue
        tokens = [bytes([byte]) for byte in piece.encode()]
        for pair in merges:
            tokens = merge(tokens, pair)
        found += [ids[token] for token in tokens]
    return found


def merge(tokens: Sequence[bytes], pair: Pair) -> list[bytes]:
    """Return `tokens` with every occurrence of `pair` as one token, from the left."""
    merged: list[bytes] = []
    i = 0
    while i < len(tokens):
        size = 2 if tuple(tokens[i : i + 2]) == pair else 1
        merged.append(b"".join(tokens[i : i + size]))
        i += size
    return merged
