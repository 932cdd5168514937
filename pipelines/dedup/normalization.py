"""Text normalization for deduplication: NFD, lower case, single spaces, no accents, punctuation or symbols.

    each character → its lower case → NFD → drop combining marks, punctuation (P*), symbols (S*), controls (C*)
    white space → one space between words

Every step looks at one character alone (so Greek sigma has one lower-case form), which lets the whole rule be one table
that compiled loops read: `folding_table`. `normalize` is the same in plain Python.
Not covered: scripts that do not separate words by spaces; their words are whole clauses.
"""

from __future__ import annotations

import functools
import sys
import unicodedata

import numpy as np
from numpy.typing import NDArray

SPACE, DROP, EXPANDS = 0xFFFFFFFF, 0xFFFFFFFE, 0x80000000
"""Entries of the table in place of a code point: the character separates words, vanishes, or becomes several
characters. The lower bits of the last point into the expansions: a length and that many code points.
"""

_LAST = 0x323B0
_TAGS = range(0xE0000, 0xE0200)
"""Above the ideographs ending at `_LAST` only these are anything but themselves."""

_WITHOUT_CASE = frozenset({"Lo", "Cn", "Co", "Cs"})
"""Categories of letters without case, as of ideographs, and of code points without a character."""


def normalize(text: str) -> str:
    """Return `text` without case, accents, punctuation and spacing, which differ between copies of a page."""
    return " ".join("".join(map(fold, text)).split())


@functools.cache
def fold(character: str) -> str:
    """Return the normal form of one character: no, one or several characters; a space for white space."""
    if character.isspace():
        return " "
    decomposed = unicodedata.normalize("NFD", character.lower())
    return "".join(each for each in decomposed if not _vanishes(each))


def _vanishes(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "PS" or category in ("Mn", "Me", "Cc", "Cf") or unicodedata.combining(character) != 0


@functools.cache
def folding_table() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return `fold` of every code point, and the expansions of those that become several."""
    table = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    expansions: list[int] = []
    for code in (*range(_LAST), *_TAGS):
        character = chr(code)
        if unicodedata.category(character) in _WITHOUT_CASE and unicodedata.is_normalized("NFD", character):
            continue  # most are themselves
        folded = fold.__wrapped__(character)
        if folded == " ":
            table[code] = SPACE
        elif not folded:
            table[code] = DROP
        elif len(folded) == 1:
            table[code] = ord(folded)
        else:
            table[code] = EXPANDS | len(expansions)
            expansions += [len(folded), *map(ord, folded)]
    return table, np.array(expansions, np.uint32)
