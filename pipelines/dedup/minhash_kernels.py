"""Compiled loops of MinHash: shingles from UTF-8 bytes, signatures, band keys.

This module imports numba and is imported only where documents are signed. `pipelines.dedup.minhash_reference` is the
same in plain Python. All loops release the GIL and are linear in their input.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lm.compiled import compiled
from pipelines.dedup.hash_cells import sort_distinct
from pipelines.dedup.minhash_config import FEWEST_WORDS
from pipelines.dedup.normalization import DROP, EXPANDS, SPACE
from pipelines.documents.utf8_kernel import decode

FNV_OFFSET, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)

Array64 = NDArray[np.uint64]
Array32 = NDArray[np.uint32]

_SPACE, _DROP, _EXPANDS = np.uint32(SPACE), np.uint32(DROP), np.uint32(EXPANDS)
_BLOCK = 2048  # shingles whose 32-bit hashes stay in the nearest cache while every permutation passes over them


@compiled
def mix64(value: Any) -> Any:
    """Return the finaliser of SplitMix64: every bit of the input moves every bit of the output."""
    value = (value ^ (value >> np.uint64(30))) * MIX_1
    value = (value ^ (value >> np.uint64(27))) * MIX_2
    return value ^ (value >> np.uint64(31))


@compiled
def mix32(shingle: Any) -> Any:
    """Return the finaliser of MurmurHash3 over the upper half of a shingle's hash."""
    value = np.uint32(shingle >> np.uint64(32))
    value = np.uint32((value ^ (value >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    value = np.uint32((value ^ (value >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return value ^ (value >> np.uint32(16))


@compiled
def word_hashes(
    data: NDArray[np.uint8], start: int, end: int, table: Array32, expansions: Array32, out: Array64
) -> int:
    """Write FNV-1a of the code points of every normalized word of `data[start:end]`; return the number of words."""
    num_words, running, in_word, position = 0, FNV_OFFSET, False, start
    while position < end:
        code, position = decode(data, position)
        folded = table[code]
        if folded == _SPACE:
            if in_word:
                out[num_words] = running
                num_words, running, in_word = num_words + 1, FNV_OFFSET, False
        elif folded >= _EXPANDS and folded != _DROP:
            first = folded & np.uint32(0x0FFFFFFF)
            for index in range(expansions[first]):
                running = (running ^ np.uint64(expansions[first + np.uint32(1) + np.uint32(index)])) * FNV_PRIME
            in_word = True
        elif folded != _DROP:
            running = (running ^ np.uint64(folded)) * FNV_PRIME
            in_word = True
    if in_word:
        out[num_words] = running
        num_words += 1
    return num_words


@compiled
def shingle_hashes(words: Array64, ngram: int) -> Array64:
    """Return the 64-bit hash of every run of `ngram` words; none in a text of fewer than `FEWEST_WORDS`."""
    num_shingles = max(0, words.size - ngram + 1) if words.size >= FEWEST_WORDS else 0
    out = np.empty(num_shingles, np.uint64)
    for first in range(num_shingles):
        running = FNV_OFFSET
        for index in range(first, first + ngram):
            running = (running ^ words[index]) * FNV_PRIME
        out[first] = mix64(running)
    return out


@compiled
def shingles_of(
    data: NDArray[np.uint8], start: int, end: int, table: Array32, expansions: Array32, ngram: int
) -> Array64:
    """Return the shingle hashes of one text, in the order of the text."""
    words = np.empty((end - start) // 2 + 1, np.uint64)
    return shingle_hashes(words[: word_hashes(data, start, end, table, expansions, words)], ngram)


@compiled
def distinct_shingles(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    table: Array32,
    expansions: Array32,
    ngram: int,
    out: Array64,
    bounds: NDArray[np.int64],
) -> None:
    """Write the sorted distinct shingle hashes of all texts in a row: those of text `i` are `out[bounds[i]:bounds[i +
    1]]`.

    `out` has room for all shingles; a text has at most one for two bytes, and one more.
    """
    bounds[0] = 0
    for text in range(offsets.size - 1):
        shingles = shingles_of(data, offsets[text], offsets[text + 1], table, expansions, ngram)
        bounds[text + 1] = bounds[text] + sort_distinct(shingles, out[bounds[text] : bounds[text] + shingles.size])


@compiled
def sign(shingles: Array64, multipliers: Array32, increments: Array32, out: Array32) -> None:
    """Compute `out[j] = min over shingles of (a[j] * fmix32(h) + b[j]) mod 2**32`, with `h` the upper half of the
    shingle.
    """
    block = np.empty(_BLOCK, np.uint32)
    for begin in range(0, shingles.size, _BLOCK):
        length = min(_BLOCK, shingles.size - begin)
        for index in range(length):
            block[index] = mix32(shingles[begin + index])
        for permutation in range(out.size):
            a, b, least = multipliers[permutation], increments[permutation], out[permutation]
            for index in range(length):
                least = min(least, np.uint32(np.uint32(a * block[index]) + b))
            out[permutation] = least


@compiled
def sign_texts(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    table: Array32,
    expansions: Array32,
    ngram: int,
    multipliers: Array32,
    increments: Array32,
    signatures: Array32,
    valid: NDArray[np.bool_],
) -> None:
    """Sign every text `data[offsets[i]:offsets[i + 1]]`; a text without a single shingle stays invalid."""
    for text in range(offsets.size - 1):
        shingles = shingles_of(data, offsets[text], offsets[text + 1], table, expansions, ngram)
        valid[text] = shingles.size > 0
        if valid[text]:
            sign(shingles, multipliers, increments, signatures[text])


@compiled
def mixed_shingles(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    table: Array32,
    expansions: Array32,
    ngram: int,
    out: Array32,
    bounds: NDArray[np.int64],
) -> None:
    """Write the hashes that `sign` permutes, of all texts in a row: those of text `i` are `out[bounds[i]:bounds[i +
    1]]`.
    """
    bounds[0] = 0
    for text in range(offsets.size - 1):
        shingles = shingles_of(data, offsets[text], offsets[text + 1], table, expansions, ngram)
        begin = bounds[text]
        for index in range(shingles.size):
            out[begin + index] = mix32(shingles[index])
        bounds[text + 1] = begin + shingles.size


@compiled
def band_keys(signatures: Array32, num_bands: int) -> Array64:
    """Return one 64-bit key per band and document, `[num_bands, docs]`: equal rows of a band give equal keys."""
    num_rows = signatures.shape[1] // num_bands
    keys = np.empty((num_bands, signatures.shape[0]), np.uint64)
    for document in range(signatures.shape[0]):
        for band in range(num_bands):
            running = FNV_OFFSET
            for row in range(band * num_rows, (band + 1) * num_rows):
                running = (running ^ np.uint64(signatures[document, row])) * FNV_PRIME
            keys[band, document] = mix64(running)
    return keys
