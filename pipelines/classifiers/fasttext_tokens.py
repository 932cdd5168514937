"""Tokens of documents as fastText reads them after `preprocessing.normalize`: hashes, places and borders.

A document is put in lower case and read in one walk over its UTF-8 bytes, for any number of models: white space ends a
word, and each of `SPLIT_OFF` is a word of its own, which `normalize` spells out with spaces. Words are identified by
64-bit hashes; fastText's own 32-bit hash makes n-grams.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lm.compiled import compiled
from pipelines.classifiers.preprocessing import SPLIT_OFF
from pipelines.documents.text_buffers import Texts, text_buffers
from pipelines.documents.utf8_kernel import decode

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Places = NDArray[np.int64]

BEGINS_WORD, BEGINS_SENTENCE, ENDS_DOCUMENT = 1, 2, 4
"""Flags of a token: first behind white space, first of a sentence, and the mark behind a document's last token."""

_LETTER, _SPACE, _NEWLINE, _MARK, _ENDER, _UNSURE = range(6)
_ENDERS = ".!?…"
_CONTEXTUAL = "Σİ"
"""Capitals whose lower case depends on their neighbours, or is two characters: their texts are lowered by Python."""
_LAST = 0x20000
"""Capitals and white space lie before this code point."""
_KIND_BIT = 24
_WIDE_OFFSET, _WIDE_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_NARROW_OFFSET, _NARROW_PRIME = np.uint32(2166136261), np.uint32(16777619)
_compiled = compiled(error_model="numpy")


class Tokens(NamedTuple):
    """The tokens of documents, in order, and one more behind each document: token `i` is `text[starts[i]:stops[i]]`,
    in lower case.

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


def tokens_of(texts: Texts) -> Tokens:
    """Return the tokens of all `texts`; half a surrogate pair is read as a question mark."""
    column = texts if isinstance(texts, pa.Array) else _valid(texts)
    found, is_unsure = _read(*text_buffers(column), characters())
    if is_unsure.any():
        lowered = [
            text.lower() if unsure else text
            for text, unsure in zip(column.to_pylist(), is_unsure.tolist(), strict=True)
        ]
        found, _ = _read(*text_buffers(lowered), characters())
    return Tokens(found[0], len(column), *found[1:])


def _valid(texts: Sequence[str]) -> pa.LargeStringArray:
    return pa.array([text.encode("utf-8", "replace") for text in texts], pa.large_binary()).cast(pa.large_string())


@functools.cache
def characters() -> NDArray[np.uint32]:
    """Return each code point's lower case, from bit `_KIND_BIT` on with the code point's kind."""
    codes = np.r_[0:0xD800, 0xE000:_LAST].astype(np.uint32)
    every = codes.tobytes().decode("utf-32-le")
    lowered = re.sub(f"[{_CONTEXTUAL}]", "?", every).lower()  # one character for each
    found = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    found[codes] = np.frombuffer(lowered.encode("utf-32-le"), np.uint32)
    kinds = {
        _SPACE: "\0" + "".join(re.findall(r"\s", every)),
        _NEWLINE: "\n",
        _MARK: SPLIT_OFF,
        _ENDER: _ENDERS,
        _UNSURE: _CONTEXTUAL,
    }
    for kind, of_kind in kinds.items():  # a later kind counts
        places = [ord(character) for character in of_kind]
        found[places] = np.array(places, np.uint32) | np.uint32(kind << _KIND_BIT)
    return found


@_compiled
def hash_word(text: Bytes, start: int, stop: int) -> Any:
    """Return FNV-1a in 64 bits, and in 32 bits over signed bytes."""
    wide, narrow = _WIDE_OFFSET, _NARROW_OFFSET
    for position in range(start, stop):
        wide = (wide ^ np.uint64(text[position])) * _WIDE_PRIME
        narrow = np.uint32(np.uint32(narrow ^ np.uint32(np.int8(text[position]))) * _NARROW_PRIME)
    return wide, narrow


@_compiled
def _read(data: Bytes, offsets: Places, characters: NDArray[np.uint32]) -> Any:
    """Return the columns of `Tokens` but the number of documents, and whether each document has one of `_CONTEXTUAL`.

    Memory is touched only as far as there are tokens.
    """
    num_bytes = offsets[-1] - offsets[0]
    text = np.empty(num_bytes + num_bytes // 2, np.uint8)  # a letter of two bytes may have a small one of three
    most = num_bytes + offsets.size
    wides, narrows = np.empty(most, np.uint64), np.empty(most, np.int32)
    starts, stops, flags = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint8)
    is_unsure = np.zeros(offsets.size - 1, np.bool_)
    number, written = 0, 0
    for document in range(offsets.size - 1):
        position, end = offsets[document], offsets[document + 1]
        border, is_ended = np.uint8(BEGINS_WORD | BEGINS_SENTENCE), False
        while position < end:
            code, behind = decode(data, position)
            kind = characters[code] >> np.uint32(_KIND_BIT)
            if kind in (_SPACE, _NEWLINE):
                border |= np.uint8(BEGINS_WORD)
                if is_ended or kind == _NEWLINE:
                    border, is_ended = np.uint8(BEGINS_WORD | BEGINS_SENTENCE), False
                position = behind
                continue
            starts[number], flags[number], is_ended = written, border, kind == _ENDER
            wide, narrow = _WIDE_OFFSET, _NARROW_OFFSET
            while True:
                letter = characters[code] & np.uint32(0xFFFFFF)
                if letter < 0x80:
                    text[written] = letter
                    wide = (wide ^ np.uint64(letter)) * _WIDE_PRIME
                    narrow = np.uint32((narrow ^ letter) * _NARROW_PRIME)
                    written += 1
                else:
                    first, written = written, _write(letter, text, written)
                    for place in range(first, written):
                        wide = (wide ^ np.uint64(text[place])) * _WIDE_PRIME
                        narrow = np.uint32(np.uint32(narrow ^ np.uint32(np.int8(text[place]))) * _NARROW_PRIME)
                    is_unsure[document] |= kind == _UNSURE
                position = behind
                if position == end or kind in (_MARK, _ENDER):
                    break
                code, behind = decode(data, position)
                kind = characters[code] >> np.uint32(_KIND_BIT)
                if kind != _LETTER and kind != _UNSURE:
                    break
            wides[number], narrows[number], stops[number] = wide, np.int32(narrow), written
            number += 1
            border = np.uint8(0)
        wides[number], narrows[number] = np.uint64(0), np.int32(0)
        starts[number], stops[number], flags[number] = written, written, np.uint8(ENDS_DOCUMENT)
        number += 1
    return (
        text[:written],
        wides[:number],
        narrows[:number],
        starts[:number],
        stops[:number],
        flags[:number],
    ), is_unsure


@_compiled
def _write(code: Any, text: Bytes, position: int) -> int:
    """Write a code point in UTF-8 at `position`; return the position after it."""
    if code < 0x80:
        text[position] = code
        return position + 1
    size = 2 if code < 0x800 else 3 if code < 0x10000 else 4
    for place in range(size - 1, 0, -1):
        text[position + place] = 0x80 | (code & 0x3F)
        code >>= np.uint32(6)
    text[position] = (0xF00 >> size & 0xFF) | code
    return position + size
