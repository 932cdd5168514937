"""The block scanner of `gpt2` and `digits`: 64 bytes at a time, with the ends of `scanners.gpt2_end`.

Each class of characters becomes a word of 64 bits, one a byte. The starts of pre-tokens follow by shifts:

    a run of letters, of numbers or of other characters starts a pre-token, unless a blank precedes it;
    so does white space after anything else, and the last white space before anything else, a blank or not;
    a contraction after a letter, a number or white space ends at its own end.

A block begins at the start of a pre-token, so no state passes from one block to the next. A pre-token that the end of a
block leaves open is scanned again in the next. Characters beyond ASCII set the bits of all their bytes, one at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lm.compiled import compiled
from lm.tokenizer.pretokenizing import simd_masks
from lm.tokenizer.pretokenizing.scanners import contraction, gpt2_end, kind_at, wide_kind_at
from lm.tokenizer.pretokenizing.unicode_tables import LETTER, NUMBER, SPACE
from lm.tokenizer.raw_memory import address, load_byte

ROOM = 80
"""How many ends a block may write: one a byte, and what is written eight at a time beyond them."""

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE = np.uint64(1)
_LANES = 64
_CONTRACTION_REACH = 60  # one that starts here or later may end beyond what a block decides


@compiled
def gpt2_ends(
    text: int, start: int, stop: int, readable: int, table: int, numbers_in_runs: bool, ends: Any, count: int
) -> Any:
    """Write the ends of a document's pre-tokens from byte `start` on into `ends[count:]`, while there is room.

    Returns the end of the last and the number of ends. `text` can be read up to byte `readable`.
    """
    tail = np.zeros(_LANES, np.uint8)
    while start < stop and count + ROOM <= ends.size:
        place = text + start
        if start + _LANES > readable:
            for k in range(_LANES):
                tail[k] = load_byte(place + k) if start + k < stop else 0
            place = address(tail)
        is_last = stop - start <= _LANES
        starts = _starts(text, start, stop, place, table, numbers_in_runs)
        apostrophes = simd_masks.apostrophes(place) & (starts | _ONE)
        if apostrophes:
            starts = _with_contractions(text, start, stop, starts, apostrophes, is_last)
        if starts:
            write_ends(ends, count, start, starts)
            count += simd_masks.num_bits(starts)
            if not is_last:
                start += simd_masks.highest_bit(starts)
        elif not is_last:
            start = gpt2_end(text, start, stop, table, numbers_in_runs)
            ends[count] = start
            count += 1
        if is_last:
            start = stop
            ends[count] = stop
            count += 1
    return start, count


@compiled
def _starts(text: int, start: int, stop: int, place: int, table: int, numbers_in_runs: bool) -> Any:
    """Return the bits, after the first, of bytes that start a pre-token within these 64 bytes; contractions left
    out.
    """
    valid = _ALL
    if stop - start < _LANES:
        valid = _ALL >> np.uint64(_LANES - (stop - start))
    letter, number, blank = simd_masks.letters(place), simd_masks.digits(place), simd_masks.blanks(place)
    narrow_space = blank | simd_masks.control_spaces(place)
    space, last_wide = narrow_space, np.uint64(0)
    leads = simd_masks.wide(place) & valid
    continuation = np.uint64(0)
    if leads:
        continuation = simd_masks.continuations(place)
        leads &= ~continuation
        while leads:
            bit = simd_masks.lowest_bit(leads)
            leads &= leads - _ONE
            position = start + bit
            kind, size = wide_kind_at(text, position, load_byte(text + position), table)
            covered = (_ONE << np.uint64(size)) - _ONE << np.uint64(bit)
            if kind & LETTER:
                letter |= covered
            elif kind == NUMBER:
                number |= covered
            elif kind == SPACE:
                space |= covered
                if position + size < stop and kind_at(text, position + size, table)[0] != SPACE:
                    last_wide |= _ONE << np.uint64(bit)
    letter, number, space = letter & valid, number & valid, space & valid
    other = valid & ~(letter | number | space)
    runs = (letter & ~(letter << _ONE)) | (other & ~(other << _ONE))
    if numbers_in_runs:
        runs |= number & ~(number << _ONE)
    starts = runs & ~(blank << _ONE)
    if not numbers_in_runs:
        starts |= number & ~continuation
    starts |= space & ~(space << _ONE) | last_wide | narrow_space & ((valid & ~space) >> _ONE)
    if stop - start > _LANES:
        valid >>= _ONE
    return starts & valid & ~_ONE


@compiled
def _with_contractions(text: int, start: int, stop: int, starts: Any, apostrophes: Any, is_last: bool) -> Any:
    """Return `starts` with the letters of contractions joined to their apostrophes, and a start behind each
    contraction.
    """
    while apostrophes:
        bit = simd_masks.lowest_bit(apostrophes)
        apostrophes &= apostrophes - _ONE
        if bit >= _CONTRACTION_REACH and not is_last:
            return starts & ((_ONE << np.uint64(bit + 1)) - _ONE)
        length = contraction(text, start + bit, stop, False)
        if length:
            starts &= ~(_ONE << np.uint64(bit + 1))
            if start + bit + length < stop:
                starts |= _ONE << np.uint64(bit + length)
    return starts


@compiled
def write_ends(ends: Any, count: int, start: int, bits: Any) -> None:
    """Write `start` plus the position of each bit, eight at a time, which mispredicts fewer branches."""
    while bits:
        for k in range(8):
            ends[count + k] = start + simd_masks.lowest_bit(bits)
            bits &= bits - _ONE
        count += 8
