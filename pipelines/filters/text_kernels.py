"""The compiled loops over code points and word hashes that `text_statistics` and `repetition` call.

This module imports numba and is imported only where a text is measured, for numba is slow to import. Each
loop is linear in its input. Hashes are FNV-1a over code points, in 64 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lm.compiled import compiled
from pipelines.filters.code_points import BULLET, DIGIT, END, LETTER, SPACE

_FNV_OFFSET, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_SHORT_LINE_CHARACTERS = 30
_RUNNING_LINE_WORDS = 6

Array = NDArray[np.uint64]


@compiled
def walk_words(codes: NDArray[np.uint32], table: NDArray[np.uint8], stop_words: NDArray[np.uint32]) -> Any:
    """Hash each word and count the tokens' properties; white space closes a token."""
    most = codes.size // 2 + 1
    hashes, lengths = np.empty(most, np.uint64), np.empty(most, np.uint64)
    num_tokens, num_words, characters, num_letter_tokens, num_hashes, num_ellipses, seen_stop_words = (
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    )
    in_token, has_letter, dots = False, False, 0
    running, length, key = _FNV_OFFSET, 0, np.uint32(0)
    word, word_length, word_key = (
        _FNV_OFFSET,
        0,
        np.uint32(0),
    )  # the same three as they stood after the last letter or digit
    for position in range(codes.size + 1):
        code = codes[position] if position < codes.size else np.uint32(10)
        kind = table[code]
        if not kind & SPACE:
            in_token = True
            has_letter |= (kind & LETTER) != 0
            num_hashes += code == 35
            dots = dots + 1 if code == 46 else 0
            num_ellipses += code == 0x2026 or dots == 3
            solid = (kind & (LETTER | DIGIT)) != 0
            if solid or length:  # punctuation before the first letter or digit is no part of the word
                running = (running ^ np.uint64(code)) * _FNV_PRIME
                length += 1
                key = (key << np.uint32(8)) | (code | np.uint32(32) if code < 128 else np.uint32(255))
            if solid:  # nor is punctuation after the last one
                word, word_length, word_key = running, length, key
        elif in_token:
            num_tokens += 1
            num_letter_tokens += has_letter
            if word_length:
                hashes[num_words], lengths[num_words] = word, word_length
                num_words += 1
                characters += word_length
            if 0 < word_length <= 4:
                for index in range(stop_words.size):
                    seen_stop_words |= (word_key == stop_words[index]) << index
            in_token, has_letter, dots = False, False, 0
            running, length, key = _FNV_OFFSET, 0, np.uint32(0)
            word, word_length = _FNV_OFFSET, 0
    num_stop_words = 0
    for index in range(stop_words.size):
        num_stop_words += (seen_stop_words >> index) & 1
    counts = (num_tokens, num_words, characters, num_letter_tokens, num_hashes, num_ellipses, num_stop_words)
    return (hashes[:num_words].copy(), lengths[:num_words].copy()), counts


@compiled
def walk_lines(codes: NDArray[np.uint32], table: NDArray[np.uint8]) -> Any:
    """Hash each stripped line, and each paragraph over its lines' hashes, and count kinds of lines."""
    most = codes.size // 2 + 1
    line_hashes, line_lengths = np.empty(most, np.uint64), np.empty(most, np.uint64)
    paragraph_hashes, paragraph_lengths = np.empty(most, np.uint64), np.empty(most, np.uint64)
    newlines, num_lines, characters, bulleted, trailing, ended, short, num_paragraphs = 0, 0, 0, 0, 0, 0, 0, 0
    items, trailing_characters, running_words, num_words, in_word = 0, 0, 0, 0, False
    running, length, line, line_length = _FNV_OFFSET, 0, _FNV_OFFSET, 0
    first_kind, last_kind, dots, last_dots = 0, 0, 0, 0
    paragraph, paragraph_length = _FNV_OFFSET, 0
    for position in range(codes.size + 1):
        code = codes[position] if position < codes.size else np.uint32(10)
        kind = table[code]
        if code != 10:
            if kind & SPACE and length == 0:
                continue
            num_words += not in_word and not kind & SPACE
            in_word = not kind & SPACE
            first_kind = kind if length == 0 else first_kind
            running = (running ^ np.uint64(code)) * _FNV_PRIME
            length += 1
            dots = (dots + 1 if code == 46 else 0) + (3 if code == 0x2026 else 0)
            if not kind & SPACE:  # white space at the end of a line is no part of it
                line, line_length, last_kind, last_dots = running, length, kind, dots
            continue
        newlines += position < codes.size
        if line_length:
            line_hashes[num_lines], line_lengths[num_lines] = line, line_length
            num_lines += 1
            characters += line_length
            bulleted += (first_kind & BULLET) != 0
            trailing += last_dots >= 3
            ended += (last_kind & END) != 0
            items += (first_kind & BULLET) != 0 and not last_kind & END
            trailing_characters += line_length if last_dots >= 3 else 0
            running_words += num_words if num_words >= _RUNNING_LINE_WORDS or last_kind & END else 0
            short += line_length <= _SHORT_LINE_CHARACTERS
            paragraph = (paragraph ^ line) * _FNV_PRIME
            paragraph_length += line_length
        if paragraph_length and (line_length == 0 or position == codes.size):
            paragraph_hashes[num_paragraphs], paragraph_lengths[num_paragraphs] = paragraph, paragraph_length
            num_paragraphs += 1
            paragraph, paragraph_length = _FNV_OFFSET, 0
        running, length, line, line_length, dots = _FNV_OFFSET, 0, _FNV_OFFSET, 0, 0
        num_words, in_word = 0, False
    counts = (
        newlines, num_lines, characters, bulleted, trailing, ended, short, items, trailing_characters, running_words,
    )  # fmt: skip
    lines = (line_hashes[:num_lines].copy(), line_lengths[:num_lines].copy())
    paragraphs = (paragraph_hashes[:num_paragraphs].copy(), paragraph_lengths[:num_paragraphs].copy())
    return lines, paragraphs, counts


@compiled
def distinct(hashes: Array, lengths: Array) -> Any:
    """Return the number of distinct items, and the characters of the first item of each kind."""
    table = np.zeros(_num_slots(hashes.size), np.uint64)
    number, characters, has_zero = np.int64(0), np.uint64(0), False
    for position in range(hashes.size):
        if hashes[position] == 0:  # which marks a free slot
            if has_zero:
                continue
            has_zero = True
        else:
            slot = _slot(table, hashes[position])
            if table[slot] != 0:
                continue
            table[slot] = hashes[position]
        number += 1
        characters += lengths[position]
    return number, np.int64(characters)


@compiled
def ngram_characters(hashes: Array, lengths: Array, most_frequent: Any, repeated: Any) -> NDArray[np.int64]:
    """Return characters in repeated n-grams: for each n of `most_frequent`, those in the occurrences of the most
    frequent n-gram, at least two (of equally frequent ones the longest); for each n of `repeated`, those within n-grams
    that occurred before, each character once.

    Both are ascending, the second behind the first. An n-gram's hash is polynomial in an odd base, then mixed.
    """
    found = np.zeros(len(most_frequent) + len(repeated), np.int64)
    grams = hashes.copy()
    table, counts = np.empty(_num_slots(hashes.size), np.uint64), np.empty(_num_slots(hashes.size), np.int64)
    n = 1
    for place in range(found.size):
        is_top = place < len(most_frequent)
        wanted = most_frequent[place] if is_top else repeated[place - len(most_frequent)]
        while n < wanted:
            n += 1
            for position in range(hashes.size - n + 1):
                grams[position] = grams[position] * np.uint64(0x9E3779B97F4A7C15) + hashes[position + n - 1]
        num_grams = max(0, hashes.size - n + 1)
        table[:] = 0
        if is_top:
            counts[:] = 0
            found[place] = _most_frequent(grams[:num_grams], lengths, n, table, counts)
        else:
            found[place] = _repeated(grams[:num_grams], lengths, n, table)
            if not found[place]:  # where no n-gram repeats, no longer one does
                break
    return found


@compiled
def _num_slots(num_items: int) -> int:
    """Return the number of slots of an open-addressing table: a power of two, at least twice the items."""
    size = 16
    while size < 2 * num_items:
        size *= 2
    return size


@compiled
def _slot(table: Array, value: np.uint64) -> Any:
    """Return the slot of `value` in an open-addressing `table` of a power of two, or the free slot for it."""
    mask = np.uint64(table.size - 1)
    slot = (value >> np.uint64(8)) & mask
    while table[slot] != 0 and table[slot] != value:
        slot = (slot + np.uint64(1)) & mask
    return slot


@compiled
def _mixed(gram: np.uint64) -> Any:
    """Every bit of the hash moves every bit of the result, which is never 0."""
    gram ^= gram >> np.uint64(32)
    gram *= np.uint64(0xD6E8FEB86659FD93)
    gram ^= gram >> np.uint64(32)
    return gram | np.uint64(1)


@compiled
def _most_frequent(grams: Array, lengths: Array, n: int, table: Array, counts: NDArray[np.int64]) -> Any:
    most, longest = np.int64(1), np.int64(0)
    for position in range(grams.size):
        gram = _mixed(grams[position])
        slot = _slot(table, gram)
        table[slot] = gram
        counts[slot] += 1
        if counts[slot] >= most and counts[slot] > 1:
            length = n - 1 + np.int64(lengths[position : position + n].sum())
            longest = length if counts[slot] > most else max(longest, length)
            most = counts[slot]
    return most * longest


@compiled
def _repeated(grams: Array, lengths: Array, n: int, table: Array) -> Any:
    characters, position = np.int64(0), 0
    while position < grams.size:
        gram = _mixed(grams[position])
        slot = _slot(table, gram)
        if table[slot] == 0:
            table[slot] = gram
            position += 1
        else:
            characters += n - 1 + np.int64(lengths[position : position + n].sum())
            position += n
    return characters
