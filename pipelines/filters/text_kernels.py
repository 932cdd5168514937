"""The compiled loops over UTF-8 bytes and word hashes that `text_statistics` and `repetition` call.

This module imports numba and is imported only where a text is measured, for numba is slow to import. Each
loop is linear in its input. Hashes are FNV-1a over code points, in 64 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lm.compiled import compiled
from pipelines.documents.utf8_kernel import decode
from pipelines.filters.code_points import BULLET, DIGIT, END, LETTER, SPACE

_FNV_OFFSET, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_SHORT_LINE_CHARACTERS = 30
_RUNNING_LINE_WORDS = 6

NUM_COUNTS = 17
"""Columns of counts, which `text_statistics` names."""

Array = NDArray[np.uint64]
Indices = NDArray[np.int64]


@compiled
def walk(data: NDArray[np.uint8], offsets: Indices, table: NDArray[np.uint8], stop_words: NDArray[np.uint32]) -> Any:
    """Return the counts [texts, `NUM_COUNTS`] of the texts `data[offsets[i]:offsets[i + 1]]`; and their words, lines
    and paragraphs, each as the hashes and lengths of all texts in a row, and the number before each text.

    White space closes a word. A line is hashed over its words and other characters, a paragraph over its lines' hashes.
    """
    num_texts = offsets.size - 1
    most = (offsets[num_texts] - offsets[0] + num_texts) // 2 + 1
    counts = np.zeros((num_texts, NUM_COUNTS), np.int64)
    word_hashes, word_lengths = np.empty(most, np.uint64), np.empty(most, np.uint64)
    line_hashes, line_lengths = np.empty(most, np.uint64), np.empty(most, np.uint64)
    paragraph_hashes, paragraph_lengths = np.empty(most, np.uint64), np.empty(most, np.uint64)
    borders = np.zeros((3, num_texts + 1), np.int64)
    words, lines, paragraphs = 0, 0, 0
    for text in range(num_texts):
        position, end = offsets[text], offsets[text + 1]
        num_tokens, letters, num_letter_tokens, num_hashes, num_ellipses, seen_stop_words = 0, 0, 0, 0, 0, 0
        newlines, characters, bulleted, trailing, ended, short = 0, 0, 0, 0, 0, 0
        items, trailing_characters, running_words = 0, 0, 0
        in_token, has_letter, dots = False, False, 0
        running, length, key = _FNV_OFFSET, 0, np.uint32(0)
        word, word_length, word_key = running, 0, key  # the same three as they stood after the last letter or digit
        line_running, line_running_length, line_dots, line_tokens = _FNV_OFFSET, 0, 0, 0
        line, line_length, last_dots = _FNV_OFFSET, 0, 0  # as they stood before white space
        first_kind, last_kind = 0, 0
        paragraph, paragraph_length = _FNV_OFFSET, 0
        is_end = False
        while not is_end:
            is_end = position == end
            code = np.uint32(10)
            if not is_end:
                code, position = decode(data, position)
            kind = table[code]
            if not kind & SPACE:
                if not in_token:
                    in_token = True
                    line_tokens += 1
                    first_kind = kind if line_running_length == 0 else first_kind
                if kind & (LETTER | DIGIT):
                    behind, dots, line_dots, size, seen = position, 0, 0, 0, kind
                    while kind & (LETTER | DIGIT):
                        running = (running ^ np.uint64(code)) * _FNV_PRIME
                        key = (key << np.uint32(8)) | (code | np.uint32(32) if code < 128 else np.uint32(255))
                        size, seen, last_kind, position = size + 1, seen | kind, kind, behind
                        if position == end:
                            break
                        code, behind = decode(data, position)
                        kind = table[code]
                    has_letter |= (seen & LETTER) != 0
                    length, line_running_length = length + size, line_running_length + size
                    line_running = (line_running ^ running) * _FNV_PRIME
                    word, word_length, word_key = running, length, key
                else:
                    line_running = (line_running ^ np.uint64(code)) * _FNV_PRIME
                    line_running_length, last_kind = line_running_length + 1, kind
                    line_dots = (line_dots + 1 if code == 46 else 0) + (3 if code == 0x2026 else 0)
                    num_hashes += code == 35
                    dots = dots + 1 if code == 46 else 0
                    num_ellipses += code == 0x2026 or dots == 3
                    if length:  # punctuation before the first letter or digit is not part of the word
                        running = (running ^ np.uint64(code)) * _FNV_PRIME
                        length += 1
                        key = (key << np.uint32(8)) | (code | np.uint32(32) if code < 128 else np.uint32(255))
                line, line_length, last_dots = line_running, line_running_length, line_dots
                continue
            if in_token:
                num_tokens += 1
                num_letter_tokens += has_letter
                if word_length:
                    word_hashes[words], word_lengths[words] = word, word_length
                    words += 1
                    letters += word_length
                if 0 < word_length <= 4:
                    for index in range(stop_words.size):
                        seen_stop_words |= (word_key == stop_words[index]) << index
                in_token, has_letter, dots = False, False, 0
                running, length, key = _FNV_OFFSET, 0, np.uint32(0)
                word, word_length = _FNV_OFFSET, 0
            if code != 10:
                if line_running_length:  # white space at the beginning is not part of the line
                    line_running = (line_running ^ np.uint64(code)) * _FNV_PRIME
                    line_running_length += 1
                    line_dots = 0
                continue
            newlines += not is_end
            if line_length:
                line_hashes[lines], line_lengths[lines] = line, line_length
                lines += 1
                characters += line_length
                bulleted += (first_kind & BULLET) != 0
                trailing += last_dots >= 3
                ended += (last_kind & END) != 0
                items += (first_kind & BULLET) != 0 and not last_kind & END
                trailing_characters += line_length if last_dots >= 3 else 0
                running_words += line_tokens if line_tokens >= _RUNNING_LINE_WORDS or last_kind & END else 0
                short += line_length <= _SHORT_LINE_CHARACTERS
                paragraph = (paragraph ^ line) * _FNV_PRIME
                paragraph_length += line_length
            if paragraph_length and (line_length == 0 or is_end):
                paragraph_hashes[paragraphs], paragraph_lengths[paragraphs] = paragraph, paragraph_length
                paragraphs += 1
                paragraph, paragraph_length = _FNV_OFFSET, 0
            line_running, line_running_length, line_dots, line_tokens = _FNV_OFFSET, 0, 0, 0
            line, line_length = _FNV_OFFSET, 0
        num_stop_words = 0
        for index in range(stop_words.size):
            num_stop_words += (seen_stop_words >> index) & 1
        num_words, num_lines = words - borders[0, text], lines - borders[1, text]
        borders[0, text + 1], borders[1, text + 1], borders[2, text + 1] = words, lines, paragraphs
        counts[text] = (
            num_tokens, num_words, letters, num_letter_tokens, num_hashes, num_ellipses, num_stop_words, newlines,
            num_lines, characters, bulleted, trailing, ended, short, items, trailing_characters, running_words,
        )  # fmt: skip
    return (
        counts,
        (word_hashes[:words], word_lengths[:words], borders[0]),
        (line_hashes[:lines], line_lengths[:lines], borders[1]),
        (paragraph_hashes[:paragraphs], paragraph_lengths[:paragraphs], borders[2]),
    )


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
def repetition(words: Any, lines: Any, paragraphs: Any, most_frequent: Any, repeated: Any, among: Any) -> Any:
    """Return the shares [rules, texts] of the texts `among` all: duplicate lines and paragraphs, their characters, then
    the characters in n-grams, as `ngram_characters` has them.
    """
    num_texts, num_top = among.size, len(most_frequent)
    found = np.zeros((4 + num_top + len(repeated), num_texts))
    for text in range(num_texts):
        if not among[text]:
            continue
        found[0, text], found[2, text] = _duplicate_share(lines, text)
        found[1, text], found[3, text] = _duplicate_share(paragraphs, text)
        hashes, lengths, borders = words
        own_hashes, own_lengths = hashes[borders[text] : borders[text + 1]], lengths[borders[text] : borders[text + 1]]
        total = max(1, np.int64(own_lengths.sum()) + max(0, own_lengths.size - 1))
        characters = ngram_characters(own_hashes, own_lengths, most_frequent, repeated)
        for place in range(characters.size):
            share = characters[place] / total
            found[4 + place, text] = min(1.0, share) if place < num_top else share
    return found


@compiled
def _duplicate_share(items: Any, text: int) -> Any:
    """Return the share of a text's items that repeats an earlier one, and that of their characters."""
    hashes, lengths, borders = items
    first, last = borders[text], borders[text + 1]
    return duplicate_share(hashes[first:last], lengths[first:last])


@compiled
def duplicate_share(hashes: Array, lengths: Array) -> Any:
    """Return the share of hashed items that repeats an earlier one, and that of their characters; 0 without any."""
    total = np.int64(lengths.sum())
    if total == 0:
        return 0.0, 0.0
    number, characters = distinct(hashes, lengths)
    return 1 - number / hashes.size, 1 - characters / total


@compiled
def ngram_characters(hashes: Array, lengths: Array, most_frequent: Any, repeated: Any) -> NDArray[np.int64]:
    """Return characters in repeated n-grams: for each n of `most_frequent`, those in the occurrences of the most
    frequent n-gram, at least two (of equally frequent ones the longest); for each n of `repeated`, those within n-grams
    that occurred before, each character once.

    Both are ascending, the second behind the first. An n-gram's hash is polynomial in an odd base, then mixed. Only
    n-grams whose first and last words but one begin shorter ones that repeat are looked at: no others can repeat.
    """
    found = np.zeros(len(most_frequent) + len(repeated), np.int64)
    grams, places = hashes.copy(), np.arange(hashes.size)
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
        places = places[: np.searchsorted(places, num_grams)]
        slots = _num_slots(places.size)
        if is_top:
            found[place], places = _most_frequent(grams, lengths, n, places, table[:slots], counts[:slots])
        else:
            found[place] = _repeated(grams, lengths, n, places, table[:slots])
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
    """Mix a hash: every bit moves every bit of the result, which is never 0."""
    gram ^= gram >> np.uint64(32)
    gram *= np.uint64(0xD6E8FEB86659FD93)
    gram ^= gram >> np.uint64(32)
    return gram | np.uint64(1)


@compiled
def _most_frequent(
    grams: Array, lengths: Array, n: int, places: Indices, table: Array, counts: NDArray[np.int64]
) -> Any:
    """Return the characters of the most frequent n-gram at `places`, and the places where longer ones may repeat."""
    table[:], counts[:] = 0, 0
    slots, most, longest = np.empty_like(places), np.int64(1), np.int64(0)
    for index, position in enumerate(places):
        gram = _mixed(grams[position])
        slot = _slot(table, gram)
        table[slot], slots[index] = gram, slot
        counts[slot] += 1
        if counts[slot] >= most and counts[slot] > 1:
            length = n - 1 + np.int64(lengths[position : position + n].sum())
            longest = length if counts[slot] > most else max(longest, length)
            most = counts[slot]
    left, number = np.empty_like(places), 0
    for index in range(places.size - 1):
        is_whole = places[index + 1] == places[index] + 1
        if is_whole and counts[slots[index]] > 1 and counts[slots[index + 1]] > 1:
            left[number], number = places[index], number + 1
    return most * longest, left[:number]


@compiled
def _repeated(grams: Array, lengths: Array, n: int, places: Indices, table: Array) -> Any:
    """Return the characters of the n-grams at `places` that occurred before; the walk goes on behind each."""
    table[:] = 0
    characters, behind = np.int64(0), 0
    for position in places:
        if position < behind:
            continue
        gram = _mixed(grams[position])
        slot = _slot(table, gram)
        if table[slot] == 0:
            table[slot] = gram
        else:
            characters += n - 1 + np.int64(lengths[position : position + n].sum())
            behind = position + n
    return characters
