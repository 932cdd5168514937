"""Lists of words as one reads them: one text, parted by white space."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of `text`."""
    return frozenset(text.split())


def stems(text: str) -> tuple[str, ...]:
    """The words of `text` in the form that `str.startswith` takes."""
    return tuple(text.split())
