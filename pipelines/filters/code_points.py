"""Kinds of code points: white space, letters, digits, ends of sentences and bullets, as bits of one table."""

from __future__ import annotations

import functools
import sys

import numpy as np
import regex
from numpy.typing import NDArray

SPACE, LETTER, DIGIT, END, BULLET = 1, 2, 4, 8, 16
"""What a code point is, as bits of the table: `END` ends a sentence or closes a quotation after it."""


_ENDS = '…"”’»'


_SENTENCE_TERMINAL = regex.compile(r"\p{Sentence_Terminal}")


_BULLETS = "•‣▶◀◦■□▪▫●○◆⁃∙·-–*"


_FIRST_PLANES = 0x32000
"""The planes from here on hold no letters or spaces."""


@functools.cache
def kinds_of_code_points() -> NDArray[np.uint8]:
    """Return the bits of every code point, from Python's Unicode data."""
    table = np.zeros(sys.maxunicode + 1, np.uint8)
    codes = np.arange(_FIRST_PLANES, dtype="<u4")
    for bit, has_kind in ((SPACE, np.strings.isspace), (LETTER, np.strings.isalpha), (DIGIT, np.strings.isdigit)):
        table[codes[has_kind(codes.view("<U1"))]] |= bit
    terminal = _SENTENCE_TERMINAL.findall(codes.tobytes().decode("utf-32-le", "surrogatepass"))
    for bit, characters in ((END, (*_ENDS, *terminal)), (BULLET, _BULLETS)):
        table[[ord(character) for character in characters]] |= bit
    return table
