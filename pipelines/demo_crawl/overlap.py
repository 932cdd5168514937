"""Similarity of two texts of the demo crawl: the Jaccard index of their runs of five words."""

from __future__ import annotations

import re

SHINGLE_WORDS = 5

_WORD = re.compile(r"[^\W_]+")


def shingles(text: str) -> set[tuple[str, ...]]:
    """Return the runs of five words of `text`, a word being lower-case letters and digits; empty where there are fewer
    words.
    """
    found = _WORD.findall(text.lower())
    return set(zip(*(found[start:] for start in range(SHINGLE_WORDS)), strict=False))


def jaccard(first: set[tuple[str, ...]], second: set[tuple[str, ...]]) -> float:
    """Return |A ∩ B| / |A ∪ B|, 0 where both are empty."""
    union = len(first | second)
    return len(first & second) / union if union else 0.0
