"""Scanners over UTF-8 text: the end of the pre-token at a byte, by each pattern.

A scanner moves forward only, so its time is linear in the text. Scanners read bytes by their address, between `start`
and `stop`, the end of the document.
"""

from __future__ import annotations

import numpy as np

from lm.compiled import compiled
from lm.tokenizer.pretokenizing import simd_masks
from lm.tokenizer.pretokenizing.unicode_tables import LETTER, LOWER, MARK, NUMBER, OTHER, OTHER_LETTER, SPACE, UPPER
from lm.tokenizer.raw_memory import load_byte

_UNSPACED = MARK | OTHER  # [^\s\p{L}\p{N}]
_UPPER_PART = UPPER | OTHER_LETTER | MARK
_LOWER_PART = LOWER | OTHER_LETTER | MARK
_LINE_FEED, _RETURN, _BLANK, _APOSTROPHE, _SLASH = b"\n\r '/"


@compiled
def gpt2_end(data: int, start: int, stop: int, table: int, numbers_in_runs: bool) -> int:
    if load_byte(data + start) == _APOSTROPHE:
        length = contraction(data, start, stop, False)
        if length:
            return start + length
    first = start
    kind, size = kind_at(data, first, table)
    if load_byte(data + start) == _BLANK and start + 1 < stop:
        kind, size = kind_at(data, start + 1, table)
        if kind == SPACE or (kind == NUMBER and not numbers_in_runs):
            return _space_end(data, start, stop, table)
        first = start + 1
    if kind & LETTER:
        return _word_end(data, first + size, stop, table)
    if kind == NUMBER:
        return _run(data, first + size, stop, table, NUMBER) if numbers_in_runs else first + size
    if kind == SPACE:
        return _space_end(data, start, stop, table)
    return _run(data, first + size, stop, table, _UNSPACED)


@compiled
def cl100k_end(data: int, start: int, stop: int, table: int, joins_last_spaces: bool) -> int:
    if load_byte(data + start) == _APOSTROPHE:
        length = contraction(data, start, stop, True)
        if length:
            return start + length
    kind, size = kind_at(data, start, table)
    if kind & LETTER:
        return _word_end(data, start + size, stop, table)
    if _may_precede_word(load_byte(data + start), kind) and start + size < stop:
        following, width = kind_at(data, start + size, table)
        if following & LETTER:
            return _word_end(data, start + size + width, stop, table)
    return _rest_end(data, start, stop, table, kind, size, False, joins_last_spaces)


@compiled
def o200k_end(data: int, start: int, stop: int, table: int) -> int:
    kind, size = kind_at(data, start, table)
    end = 0
    if _may_precede_word(load_byte(data + start), kind):
        end = _cased_word_end(data, start + size, stop, table, kind == MARK)
        if not end and kind == MARK:  # a mark that precedes no word is a word
            end = start + size
    elif kind & LETTER:
        end = _cased_word_end(data, start, stop, table, False)
    if end:
        return end + contraction(data, end, stop, True)
    return _rest_end(data, start, stop, table, kind, size, True, False)


@compiled
def _cased_word_end(data: int, start: int, stop: int, table: int, after_mark: bool) -> int:
    """Return the end of `UPPER* LOWER+`, or else of `UPPER+ LOWER*`, from `start`; 0 where there is neither.

    Caseless letters and marks count as both. What the expression finds by stepping back is found by remembering where
    the last caseless character ended. After a mark, which is a word by itself, the second form is never tried.
    """
    if start + simd_masks.LANES <= stop:
        letters, lowers = simd_masks.letters(data + start), simd_masks.lowers(data + start)
        num_upper = simd_masks.lowest_bit(~(letters & ~lowers))
        end = start + num_upper
        if num_upper < simd_masks.LANES:
            end += simd_masks.lowest_bit(~(lowers >> np.uint64(num_upper)))
        if end < start + simd_masks.LANES and load_byte(data + end) < 0x80:
            is_word = end > start and not (after_mark and end == start + num_upper)
            return end if is_word else 0
    position, caseless_end = start, 0
    while position < stop:
        kind, size = kind_at(data, position, table)
        if not kind & _UPPER_PART:
            break
        position += size
        if kind != UPPER:
            caseless_end = position
    if position < stop and kind_at(data, position, table)[0] == LOWER:
        return _run(data, position, stop, table, _LOWER_PART)
    if caseless_end:
        return caseless_end
    return position if position > start and not after_mark else 0


@compiled
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
    """Return the end of a number, of marks or of white space, in all patterns but gpt2 and digits."""
    if kind == NUMBER:
        end = start + size
        for _ in range(2):
            if end < stop:
                following, width = kind_at(data, end, table)
                if following == NUMBER:
                    end += width
        return end
    first = start
    if load_byte(data + start) == _BLANK and start + 1 < stop:
        first = start + 1
        kind, size = kind_at(data, first, table)
    if kind & _UNSPACED:
        end = _run(data, first + size, stop, table, _UNSPACED)
        while end < stop and (
            _is_line_end(load_byte(data + end)) or (with_slashes and load_byte(data + end) == _SLASH)
        ):
            end += 1
        return end
    end, line_end = start, 0
    while end < stop:
        kind, size = kind_at(data, end, table)
        if kind != SPACE:
            break
        end += size
        if _is_line_end(load_byte(data + end - 1)):
            line_end = end
    if end == stop and joins_last_spaces:
        return end
    return line_end if line_end else _space_end(data, start, stop, table)


@compiled
def _space_end(data: int, start: int, stop: int, table: int) -> int:
    """Return the end of `\\s+(?!\\S)|\\s+`: all white space at the end of a text, else all but its last character."""
    end, last = start, start
    while end < stop:
        kind, size = kind_at(data, end, table)
        if kind != SPACE:
            return last if last > start else end
        last = end
        end += size
    return end


@compiled
def _word_end(data: int, position: int, stop: int, table: int) -> int:
    """Return the end of the letters from `position` on. The length of a word is unpredictable, so 64 bytes are tested
    at once rather than each byte.
    """
    if position + simd_masks.LANES <= stop:
        position += simd_masks.lowest_bit(~simd_masks.letters(data + position))
    return _run(data, position, stop, table, LETTER)


@compiled
def _run(data: int, position: int, stop: int, table: int, mask: int) -> int:
    """Return the end of the characters from `position` on whose class is in `mask`."""
    while position < stop:
        lead = load_byte(data + position)
        if lead < 0x80:
            if not load_byte(table + lead) & mask:
                break
            position += 1
        else:
            kind, size = wide_kind_at(data, position, lead, table)
            if not kind & mask:
                break
            position += size
    return position


@compiled
def kind_at(data: int, position: int, table: int) -> tuple[int, int]:
    """Return the class of the character at `position`, and its size in bytes."""
    lead = load_byte(data + position)
    if lead < 0x80:
        return load_byte(table + lead), 1
    return wide_kind_at(data, position, lead, table)


@compiled
def wide_kind_at(data: int, position: int, lead: int, table: int) -> tuple[int, int]:
    """Return the class and the size of a character of two bytes or more."""
    if lead < 0xE0:
        return load_byte(table + ((lead & 0x1F) << 6 | (load_byte(data + position + 1) & 0x3F))), 2
    middle = (load_byte(data + position + 1) & 0x3F) << 6 | (load_byte(data + position + 2) & 0x3F)
    if lead < 0xF0:
        return load_byte(table + ((lead & 0x0F) << 12 | middle)), 3
    return load_byte(table + ((lead & 0x07) << 18 | middle << 6 | (load_byte(data + position + 3) & 0x3F))), 4


@compiled
def contraction(data: int, start: int, stop: int, any_case: bool) -> int:
    """Return the length in bytes of `'s 't 're 've 'm 'll 'd` at `start`, 0 where there is none."""
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


@compiled
def _may_precede_word(byte: int, kind: int) -> bool:
    """Return whether a character is in `[^\\r\\n\\p{L}\\p{N}]`."""
    return not kind & (LETTER | NUMBER) and not _is_line_end(byte)


@compiled
def _is_line_end(byte: int) -> bool:
    return byte in (_LINE_FEED, _RETURN)
