"""The compiled loops of MinHash: shingles from UTF-8 bytes, signatures, band keys, the Jaccard index of what met.

This module imports numba and is imported only where documents are signed. `pipelines.minhash_reference` says the same
in plain Python. All loops release the GIL; all but the verification are linear in their input.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from pipelines.cluster_kernels import find, union
from pipelines.normalization import DROP, EXPANDS, SPACE

FNV_OFFSET, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)

Array64 = NDArray[np.uint64]
Array32 = NDArray[np.uint32]

_compiled = numba.njit(cache=True, nogil=True)
_SPACE, _DROP, _EXPANDS = np.uint32(SPACE), np.uint32(DROP), np.uint32(EXPANDS)
_BLOCK = 2048  # shingles whose 32-bit hashes stay in the nearest cache while every permutation passes over them


@_compiled
def mix64(value: Any) -> Any:
    """The finaliser of SplitMix64: every bit of the input moves every bit of the output."""
    value = (value ^ (value >> np.uint64(30))) * MIX_1
    value = (value ^ (value >> np.uint64(27))) * MIX_2
    return value ^ (value >> np.uint64(31))


@_compiled
def _decode(data: NDArray[np.uint8], position: int) -> Any:
    """The code point at `position` of valid UTF-8, and the position after it."""
    lead = np.uint32(data[position])
    if lead < 0x80:
        return lead, position + 1
    if lead < 0xE0:
        return (lead & np.uint32(0x1F)) << np.uint32(6) | np.uint32(data[position + 1] & 0x3F), position + 2
    code = np.uint32(data[position + 1] & 0x3F) << np.uint32(6) | np.uint32(data[position + 2] & 0x3F)
    if lead < 0xF0:
        return (lead & np.uint32(0x0F)) << np.uint32(12) | code, position + 3
    code = code << np.uint32(6) | np.uint32(data[position + 3] & 0x3F)
    return (lead & np.uint32(0x07)) << np.uint32(18) | code, position + 4


@_compiled
def word_hashes(
    data: NDArray[np.uint8], start: int, end: int, table: Array32, expansions: Array32, out: Array64
) -> int:
    """FNV-1a over the code points of every normalised word of `data[start:end]`; how many there were."""
    num_words, running, in_word, position = 0, FNV_OFFSET, False, start
    while position < end:
        code, position = _decode(data, position)
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


@_compiled
def shingle_hashes(words: Array64, ngram: int) -> Array64:
    """The 64-bit hash of every run of `ngram` words."""
    num_shingles = max(0, words.size - ngram + 1)
    out = np.empty(num_shingles, np.uint64)
    for first in range(num_shingles):
        running = FNV_OFFSET
        for index in range(first, first + ngram):
            running = (running ^ words[index]) * FNV_PRIME
        out[first] = mix64(running)
    return out


@_compiled
def shingles_of(
    data: NDArray[np.uint8], start: int, end: int, table: Array32, expansions: Array32, ngram: int
) -> Array64:
    """The shingle hashes of one text, in the order of the text."""
    words = np.empty((end - start) // 2 + 1, np.uint64)
    return shingle_hashes(words[: word_hashes(data, start, end, table, expansions, words)], ngram)


@_compiled
def sign(shingles: Array64, multipliers: Array32, increments: Array32, out: Array32) -> None:
    """`out[j] = min over shingles of (a[j] * fmix32(h) + b[j]) mod 2**32`, with `h` the upper half of the shingle."""
    block = np.empty(_BLOCK, np.uint32)
    for begin in range(0, shingles.size, _BLOCK):
        length = min(_BLOCK, shingles.size - begin)
        for index in range(length):
            value = np.uint32(shingles[begin + index] >> np.uint64(32))
            value = (value ^ (value >> np.uint32(16))) * np.uint32(0x85EBCA6B)
            value = np.uint32(value)
            value = (value ^ (value >> np.uint32(13))) * np.uint32(0xC2B2AE35)
            value = np.uint32(value)
            block[index] = value ^ (value >> np.uint32(16))
        for permutation in range(out.size):
            a, b, least = multipliers[permutation], increments[permutation], out[permutation]
            for index in range(length):
                least = min(least, np.uint32(np.uint32(a * block[index]) + b))
            out[permutation] = least


@_compiled
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


@_compiled
def band_keys(signatures: Array32, num_bands: int) -> Array64:
    """One 64-bit key per band and document, `[num_bands, docs]`: equal rows of a band give equal keys."""
    num_rows = signatures.shape[1] // num_bands
    keys = np.empty((num_bands, signatures.shape[0]), np.uint64)
    for document in range(signatures.shape[0]):
        for band in range(num_bands):
            running = FNV_OFFSET
            for row in range(band * num_rows, (band + 1) * num_rows):
                running = (running ^ np.uint64(signatures[document, row])) * FNV_PRIME
            keys[band, document] = mix64(running)
    return keys


@_compiled
def jaccard(left: Array64, right: Array64) -> float:
    """|A ∩ B| / |A ∪ B| of two sorted arrays without repetitions."""
    i, j, shared = 0, 0, 0
    while i < left.size and j < right.size:
        if left[i] == right[j]:
            i, j, shared = i + 1, j + 1, shared + 1
        elif left[i] < right[j]:
            i += 1
        else:
            j += 1
    joint = left.size + right.size - shared
    return shared / joint if joint else 0.0


@_compiled
def _similar(left: Array64, right: Array64, threshold: float) -> bool:
    """Whether the Jaccard index reaches `threshold`; sizes too far apart are told without comparing."""
    if min(left.size, right.size) < threshold * max(left.size, right.size):
        return False
    return jaccard(left, right) >= threshold


@_compiled
def _meet(
    parents: NDArray[np.int64], left: int, right: int, values: Array64, starts: NDArray[np.int64], threshold: float
) -> bool:
    """Whether two documents belong together; if they do and were apart, they are joined."""
    if find(parents, left) == find(parents, right):
        return True
    first, second = values[starts[left] : starts[left + 1]], values[starts[right] : starts[right + 1]]
    if not _similar(first, second, threshold):
        return False
    union(parents, left, right)
    return True


@_compiled
def join_buckets(
    parents: NDArray[np.int64],
    order: NDArray[np.int64],
    keys: Array64,
    values: Array64,
    starts: NDArray[np.int64],
    threshold: float,
    most_pairwise: int,
    num_representatives: int,
) -> None:
    """Join the documents of each bucket of one band whose true Jaccard index reaches `threshold`.

    `order` lists the documents by key. In a bucket of up to `most_pairwise` every pair is compared. In a larger one
    each document meets the bucket's representatives (the first `num_representatives` that were like none before them)
    and, unlike these, its predecessor: linear in the bucket.
    """
    representatives = np.empty(num_representatives, np.int64)
    begin = 0
    while begin < order.size:
        end = begin + 1
        while end < order.size and keys[order[end]] == keys[order[begin]]:
            end += 1
        if end - begin <= most_pairwise:
            for i in range(begin, end):
                for j in range(i + 1, end):
                    _meet(parents, order[i], order[j], values, starts, threshold)
        else:
            known = 0
            for i in range(begin, end):
                met = False
                for j in range(known):
                    met = met or _meet(parents, order[i], representatives[j], values, starts, threshold)
                if i > begin and not met:
                    met = _meet(parents, order[i], order[i - 1], values, starts, threshold)
                if not met and known < num_representatives:
                    representatives[known] = order[i]
                    known += 1
        begin = end
