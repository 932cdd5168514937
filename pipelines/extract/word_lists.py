"""Sets of words written as a text."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """Return the set of the words of a text."""
    return frozenset(text.split())
