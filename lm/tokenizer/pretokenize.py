"""Scanners that cut UTF-8 text into pre-tokens as the expressions in `patterns` do, in one pass and without a regex.

A scanner looks only forward from where a pre-token starts, so its time is linear in the text. The compiled functions
here call only each other: numba keeps a compiled function until its own file changes, and would not notice an edit
in another.
"""

from __future__ import annotations

import itertools
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from lm.tokenizer.patterns import PATTERNS, check_pattern
from lm.tokenizer.unicode_tables import LETTER, LOWER, MARK, NUMBER, OTHER, OTHER_LETTER, SPACE, UPPER, kinds
from lm.tokenizer.words import load_byte

Bytes = npt.NDArray[np.uint8]
_compiled = numba.njit(cache=True, nogil=True)

_GPT2, _DIGITS, _CL100K, _LLAMA3, _O200K = range(5)
_CODES = {"gpt2": _GPT2, "digits": _DIGITS, "cl100k": _CL100K, "llama3": _LLAMA3, "o200k": _O200K}
if set(_CODES) != set(PATTERNS):
    raise ImportError("a pattern has no scanner")
_UNSPACED = MARK | OTHER  # [^\s\p{L}\p{N}]
_UPPER_PART = UPPER | OTHER_LETTER | MARK
_LOWER_PART = LOWER | OTHER_LETTER | MARK
_LINE_FEED, _RETURN, _BLANK, _APOSTROPHE, _SLASH = b"\n\r '/"


def pre_tokens(text: str, pattern: str) -> list[str]:
    """The pieces of `text`, in order; joined they are `text` again.

    Raises:
        ConfigurationError: no pattern has that name.
    """
    data = np.frombuffer(text.encode(), np.uint8)
    boundaries, ends = np.array([0, data.size], np.int64), np.empty(data.size, np.int64)
    count = scan(data, boundaries, 0, pattern_code(pattern), kinds(), ends)
    starts = np.concatenate([[0], ends[:count]])
    return [data[start:end].tobytes().decode() for start, end in itertools.pairwise(starts)]


def pattern_code(pattern: str) -> int:
    """The number by which `scan` knows a pattern."""
    return _CODES[check_pattern(pattern)]


@_compiled
def scan(data: Bytes, boundaries: Any, start: int, pattern: int, table: Bytes, ends: Any) -> int:
    """Write the ends of the pre-tokens from byte `start` on into `ends`, as many as it holds; return their number.

    `data` is valid UTF-8; `boundaries` (ascending, from the start of the data to its end) are the borders of documents,
    which no pre-token crosses; `start` is such a border or the end of a pre-token.
    """
    text, kind_table = data.ctypes.data, table.ctypes.data
    document = np.searchsorted(boundaries, start, side="right")
    count = 0
    while document < boundaries.size and count < ends.size:
        stop = boundaries[document]
        while start < stop and count < ends.size:
            if pattern == _GPT2:
                start = _gpt2_end(text, start, stop, kind_table, True)
            elif pattern == _DIGITS:
                start = _gpt2_end(text, start, stop, kind_table, False)
            elif pattern == _O200K:
                start = _o200k_end(text, start, stop, kind_table)
            else:
                start = _cl100k_end(text, start, stop, kind_table, pattern == _CL100K)
            ends[count] = start
            count += 1
        document += 1
    return count


@_compiled
def _gpt2_end(data: int, start: int, stop: int, table: int, numbers_in_runs: bool) -> int:
    if load_byte(data + start) == _APOSTROPHE:
        length = _contraction(data, start, stop, False)
        if length:
            return start + length
    first = start
    kind, size = _kind(data, first, table)
    if load_byte(data + start) == _BLANK and start + 1 < stop:
        kind, size = _kind(data, start + 1, table)
        if kind == SPACE or (kind == NUMBER and not numbers_in_runs):
            return _space_end(data, start, stop, table)
        first = start + 1
    if kind & LETTER:
        return _run(data, first + size, stop, table, LETTER)
    if kind == NUMBER:
        return _run(data, first + size, stop, table, NUMBER) if numbers_in_runs else first + size
    if kind == SPACE:
        return _space_end(data, start, stop, table)
    return _run(data, first + size, stop, table, _UNSPACED)


@_compiled
def _cl100k_end(data: int, start: int, stop: int, table: int, joins_last_spaces: bool) -> int:
    if load_byte(data + start) == _APOSTROPHE:
        length = _contraction(data, start, stop, True)
        if length:
            return start + length
    kind, size = _kind(data, start, table)
    if kind & LETTER:
        return _run(data, start + size, stop, table, LETTER)
    if _may_precede_word(load_byte(data + start), kind) and start + size < stop:
        following, width = _kind(data, start + size, table)
        if following & LETTER:
            return _run(data, start + size + width, stop, table, LETTER)
    return _rest_end(data, start, stop, table, kind, size, False, joins_last_spaces)


@_compiled
def _o200k_end(data: int, start: int, stop: int, table: int) -> int:
    kind, size = _kind(data, start, table)
    end = 0
    if _may_precede_word(load_byte(data + start), kind):
        end = _cased_word_end(data, start + size, stop, table, kind == MARK)
        if not end and kind == MARK:  # a mark that precedes no word is one
            end = start + size
    elif kind & LETTER:
        end = _cased_word_end(data, start, stop, table, False)
    if end:
        return end + _contraction(data, end, stop, True)
    return _rest_end(data, start, stop, table, kind, size, True, False)


@_compiled
def _cased_word_end(data: int, start: int, stop: int, table: int, after_mark: bool) -> int:
    """The end of `UPPER* LOWER+` or else `UPPER+ LOWER*` from `start`, 0 where there is neither.

    Caseless letters and marks count as both. What the expression finds by stepping back is found by remembering where
    the last caseless character ended. After a mark, which is a word by itself, the second form is never tried.
    """
    position, caseless_end = start, 0
    while position < stop:
        kind, size = _kind(data, position, table)
        if not kind & _UPPER_PART:
            break
        position += size
        if kind != UPPER:
            caseless_end = position
    if position < stop and _kind(data, position, table)[0] == LOWER:
        return _run(data, position, stop, table, _LOWER_PART)
    if caseless_end:
        return caseless_end
    return position if position > start and not after_mark else 0


@_compiled
def _rest_end(
    data: int,
    start: int,
    stop: int,
    table: int,
    kind: int,
    size: int,
    with_slashes: bool,
    joins_last_spaces: bool,
) -> int:
    """What all but gpt2 and digits share: numbers of three digits, marks with the line ends after them, white space."""
    if kind == NUMBER:
        end = start + size
        for _ in range(2):
            if end < stop:
                following, width = _kind(data, end, table)
                if following == NUMBER:
                    end += width
        return end
    first = start
    if load_byte(data + start) == _BLANK and start + 1 < stop:
        first = start + 1
        kind, size = _kind(data, first, table)
    if kind & _UNSPACED:
        end = _run(data, first + size, stop, table, _UNSPACED)
        while end < stop and (
            _is_line_end(load_byte(data + end)) or (with_slashes and load_byte(data + end) == _SLASH)
        ):
            end += 1
        return end
    end, line_end = start, 0
    while end < stop:
        kind, size = _kind(data, end, table)
        if kind != SPACE:
            break
        end += size
        if _is_line_end(load_byte(data + end - 1)):
            line_end = end
    if end == stop and joins_last_spaces:
        return end
    return line_end if line_end else _space_end(data, start, stop, table)


@_compiled
def _space_end(data: int, start: int, stop: int, table: int) -> int:
    """The end of `\\s+(?!\\S)|\\s+`: all the white space at the end of a text, else all but its last character."""
    end, last = start, start
    while end < stop:
        kind, size = _kind(data, end, table)
        if kind != SPACE:
            return last if last > start else end
        last = end
        end += size
    return end


@_compiled
def _run(data: int, position: int, stop: int, table: int, mask: int) -> int:
    """The end of the characters from `position` on whose kind is in `mask`."""
    while position < stop:
        lead = load_byte(data + position)
        if lead < 0x80:
            if not load_byte(table + lead) & mask:
                break
            position += 1
        else:
            kind, size = _wide_kind(data, position, lead, table)
            if not kind & mask:
                break
            position += size
    return position


@_compiled
def _kind(data: int, position: int, table: int) -> tuple[int, int]:
    """The kind of the character at `position`, and its size in bytes."""
    lead = load_byte(data + position)
    if lead < 0x80:
        return load_byte(table + lead), 1
    return _wide_kind(data, position, lead, table)


@_compiled
def _wide_kind(data: int, position: int, lead: int, table: int) -> tuple[int, int]:
    """The same of a character of two bytes or more."""
    if lead < 0xE0:
        return load_byte(table + ((lead & 0x1F) << 6 | (load_byte(data + position + 1) & 0x3F))), 2
    middle = (load_byte(data + position + 1) & 0x3F) << 6 | (load_byte(data + position + 2) & 0x3F)
    if lead < 0xF0:
        return load_byte(table + ((lead & 0x0F) << 12 | middle)), 3
    return load_byte(table + ((lead & 0x07) << 18 | middle << 6 | (load_byte(data + position + 3) & 0x3F))), 4


@_compiled
def _contraction(data: int, start: int, stop: int, any_case: bool) -> int:
    """The length in bytes of `'s 't 're 've 'm 'll 'd` at `start`, 0 where there is none."""
    if start + 1 >= stop or load_byte(data + start) != _APOSTROPHE:
        return 0
    fold = 0x20 if any_case else 0
    first = load_byte(data + start + 1) | fold
    if first == ord("s") or first == ord("t") or first == ord("m") or first == ord("d"):
        return 2
    if start + 2 >= stop:
        return 0
    if any_case and load_byte(data + start + 1) == 0xC5 and load_byte(data + start + 2) == 0xBF:
        return 3  # U+017F, the long s, is an s in another case
    second = load_byte(data + start + 2) | fold
    if (first == ord("l") and second == ord("l")) or ((first == ord("r") or first == ord("v")) and second == ord("e")):
        return 3
    return 0


@_compiled
def _may_precede_word(byte: int, kind: int) -> bool:
    """Whether a character is in `[^\\r\\n\\p{L}\\p{N}]`."""
    return not kind & (LETTER | NUMBER) and not _is_line_end(byte)


@_compiled
def _is_line_end(byte: int) -> bool:
    return byte in (_LINE_FEED, _RETURN)
