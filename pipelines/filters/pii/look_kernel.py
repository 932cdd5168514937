"""The compiled walk of `first_look`: linear in the bytes of the texts, but for four bytes behind a colon."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lm.compiled import compiled
from pipelines.filters.pii.spans import SEPARATOR_CHARACTERS

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]

_PLAIN, _SEPARATOR, _BRACKET, _DIGIT, _AT, _COLON = range(6)
_GROUP_LETTERS = 4


def _kinds() -> Bytes:
    """Return the kind of each byte; the brackets are separators too, and what begins a longer separator is plain."""
    kinds = np.full(256, _PLAIN, np.uint8)
    kinds[[ord(mark) for mark in SEPARATOR_CHARACTERS if mark.isascii()]] = _SEPARATOR
    kinds[ord("0") : ord("9") + 1] = _DIGIT
    kinds[[ord("("), ord("[")]] = _BRACKET
    kinds[ord("@")], kinds[ord(":")] = _AT, _COLON
    return kinds


_KINDS = _kinds()
_LONG_SEPARATORS = np.array([int.from_bytes(mark.encode()) for mark in SEPARATOR_CHARACTERS if not mark.isascii()])
"""The separators beyond ASCII: their UTF-8, of two or three bytes, as a number."""


@compiled
def walk(data: Bytes, offsets: Places) -> Any:
    """Return the starts and stops of all digit runs, in characters of their text; the runs before each text; and each
    text's other two answers.
    """
    num_texts = offsets.size - 1
    most = (offsets[num_texts] - offsets[0]) // 2 + num_texts
    starts, stops, borders = np.empty(most, np.int64), np.empty(most, np.int64), np.zeros(num_texts + 1, np.int64)
    has_at, has_colons = np.zeros(num_texts, np.bool_), np.zeros(num_texts, np.bool_)
    number = 0
    for text in range(num_texts):
        end, position, characters = offsets[text + 1], offsets[text], 0
        while position < end:
            skipped, skipped_characters = _plain(data[position:end])
            position, characters = position + skipped, characters + skipped_characters
            if position == end:
                break
            kind = _KINDS[data[position]]
            if kind == _DIGIT:
                starts[number] = characters
                position, characters = _behind_run(data, position, end, characters)
                stops[number], number = characters, number + 1
                continue
            if kind == _AT or (kind == _BRACKET and _is_at(data, position + 1, end)):
                has_at[text] = True
            elif kind == _COLON:
                has_colons[text] |= _is_colon_near(data, position + 1, end)
            position, characters = position + 1, characters + 1
        borders[text + 1] = number
    return starts[:number], stops[:number], borders, has_at, has_colons


@compiled
def _plain(data: Bytes) -> Any:
    """Return the number of bytes before the first that matters outside a run, and of the characters in them."""
    characters = 0
    for place in range(data.size):
        if _KINDS[data[place]] > _SEPARATOR:
            return place, characters
        characters += (data[place] & 0xC0) != 0x80
    return data.size, characters


@compiled
def _behind_run(data: Bytes, position: int, end: int, characters: int) -> Any:
    """Return the place behind the last digit of the run at `position`, in bytes and in characters."""
    last, last_characters = position, characters
    while position < end:
        kind, step = _KINDS[data[position]], 1
        if kind == _DIGIT:
            last, last_characters = position + 1, characters + 1
        elif data[position] >= 0x80:
            step = _separator_length(data, position, end)
            if step == 0:
                break
        elif kind != _SEPARATOR and data[position] != 40:  # a parenthesis
            break
        position, characters = position + step, characters + 1
    return last, last_characters


@compiled
def _separator_length(data: Bytes, position: int, end: int) -> int:
    """Return the number of bytes of the separator beyond ASCII at `position`; 0 for another character."""
    number = np.int64(data[position])
    for length in (2, 3):
        if position + length > end:
            break
        number = number << 8 | np.int64(data[position + length - 1])
        for separator in _LONG_SEPARATORS:
            if separator == number:
                return length
    return 0


@compiled
def _is_at(data: Bytes, position: int, end: int) -> bool:
    """Return whether "at" is at `position`, perhaps behind a space."""
    position += position < end and data[position] == 32
    return position + 1 < end and data[position] | 32 == 97 and data[position + 1] | 32 == 116


@compiled
def _is_colon_near(data: Bytes, position: int, end: int) -> bool:
    """Return whether a colon is at `position`, or behind up to four hexadecimal digits."""
    for place in range(position, min(position + _GROUP_LETTERS + 1, end)):
        letter = data[place]
        if letter == 58:
            return True
        if not (48 <= letter <= 57 or 97 <= (letter | 32) <= 102):
            return False
    return False
