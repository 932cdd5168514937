"""Tokens of documents as fastText reads them after `preprocessing.normalize`: hashes, places and borders.

A document is put in lower case and read once, for any number of models: white space ends a word, and each of
`SPLIT_OFF` is a word of its own, which `normalize` spells out with spaces. Words are identified by 64-bit hashes;
fastText's own 32-bit hash makes n-grams.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lm.compiled import compiled
from pipelines.classifiers.preprocessing import SPLIT_OFF

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Places = NDArray[np.int64]

BEGINS_WORD, BEGINS_SENTENCE, ENDS_DOCUMENT = 1, 2, 4
"""Flags of a token: first behind white space, first of a sentence, and the mark behind a document's last token."""

_LETTER, _SPACE, _NEWLINE, _END, _MARK, _ENDER, _LEAD = range(7)
_ENDERS = ".!?…"
_WIDE_OFFSET, _WIDE_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_NARROW_OFFSET, _NARROW_PRIME = np.uint32(2166136261), np.uint32(16777619)
_compiled = compiled(error_model="numpy")


class Tokens(NamedTuple):
    """The tokens of documents, in order, and one more behind each document: token `i` is `text[starts[i]:stops[i]]`.

    `wide` and `narrow` are FNV-1a in 64 bits, and in 32 bits over signed bytes as fastText has it, read as a signed
    number. `flags` are of `BEGINS_WORD`, `BEGINS_SENTENCE` and `ENDS_DOCUMENT`.
    """

    text: Bytes
    num_documents: int
    wide: Words
    narrow: NDArray[np.int32]
    starts: Places
    stops: Places
    flags: Bytes


def tokens_of(texts: Sequence[str]) -> Tokens:
    """Return the tokens of all `texts`."""
    text = np.frombuffer(document_bytes(texts), np.uint8)
    return Tokens(text, len(texts), *_read(text, *_marks()))


def document_bytes(texts: Sequence[str]) -> bytes:
    """Return all `texts` in lower case, UTF-8, no white space but spaces and newlines, a NUL behind each."""
    pieces = []
    for text in texts:
        lowered = text.lower()
        if not lowered.replace("\n", " ").isprintable():  # as all white space is that is not a space
            lowered = "\n".join(" ".join(line.split()) for line in lowered.replace("\0", " ").split("\n"))
        pieces.append(lowered)
    return "\0".join([*pieces, ""]).encode("utf-8", "replace")


@functools.cache
def _marks() -> tuple[Bytes, NDArray[np.uint32], NDArray[np.bool_]]:
    """Return the kind of each byte; the marks beyond ASCII, their UTF-8 packed into a number; and the marks that end a
    sentence.
    """
    kinds = np.zeros(256, np.uint8)
    kinds[[ord(" "), ord("\n"), 0]] = _SPACE, _NEWLINE, _END
    packed, enders = [], []
    for mark in SPLIT_OFF:
        spelt = mark.encode()
        if len(spelt) == 1:
            kinds[spelt[0]] = _ENDER if mark in _ENDERS else _MARK
        else:
            kinds[spelt[0]] = _LEAD
            packed.append(int.from_bytes(spelt, "big"))
            enders.append(mark in _ENDERS)
    return kinds, np.array(packed, np.uint32), np.array(enders, np.bool_)


@_compiled
def hash_word(text: Bytes, start: int, stop: int) -> Any:
    """FNV-1a in 64 bits, and in 32 bits over signed bytes."""
    wide, narrow = _WIDE_OFFSET, _NARROW_OFFSET
    for position in range(start, stop):
        wide = (wide ^ np.uint64(text[position])) * _WIDE_PRIME
        narrow = np.uint32(np.uint32(narrow ^ np.uint32(np.int8(text[position]))) * _NARROW_PRIME)
    return wide, narrow


@_compiled
def _mark_at(text: Bytes, position: int, packed: NDArray[np.uint32]) -> Any:
    """Return the index of the mark beyond ASCII at `position`, or -1, and its length in bytes."""
    number = np.uint32(text[position])
    for length in (2, 3):
        if position + length > text.size:
            break
        number = np.uint32(number << np.uint32(8)) | np.uint32(text[position + length - 1])
        for mark in range(packed.size):
            if packed[mark] == number:
                return mark, length
    return -1, 1


@_compiled
def _read(text: Bytes, kinds: Bytes, packed: NDArray[np.uint32], enders: NDArray[np.bool_]) -> Any:
    """Return the columns of `Tokens`; memory is touched only as far as there are tokens."""
    most = text.size + 1
    wides, narrows = np.empty(most, np.uint64), np.empty(most, np.int32)
    starts, stops, flags = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint8)
    number, position = 0, 0
    border, is_ended = np.uint8(BEGINS_WORD | BEGINS_SENTENCE), False
    while position < text.size:
        kind, step = kinds[text[position]], 1
        if kind == _LEAD:
            which, step = _mark_at(text, position, packed)
            kind = np.uint8(_LETTER if which < 0 else _ENDER if enders[which] else _MARK)
        if kind in (_SPACE, _NEWLINE, _END):
            if kind == _END:
                wides[number], narrows[number] = np.uint64(0), np.int32(0)
                starts[number], stops[number], flags[number] = position, position, np.uint8(ENDS_DOCUMENT)
                number += 1
            border |= np.uint8(BEGINS_WORD)
            if is_ended or kind != _SPACE:
                border, is_ended = np.uint8(BEGINS_WORD | BEGINS_SENTENCE), False
            position += 1
            continue
        stop = position + step
        if kind == _LETTER:
            while kinds[text[stop]] == _LETTER or (
                kinds[text[stop]] == _LEAD and _mark_at(text, stop, packed)[0] < 0
            ):  # a NUL ends the last word
                stop += 1
        wide, narrow = hash_word(text, position, stop)
        wides[number], narrows[number] = wide, np.int32(narrow)
        starts[number], stops[number], flags[number] = position, stop, border
        number, position = number + 1, stop
        border, is_ended = np.uint8(0), kind == _ENDER
    return wides[:number], narrows[:number], starts[:number], stops[:number], flags[:number]
