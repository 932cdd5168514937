"""Compiled loops of decontamination: rolling hashes of n-grams, and their lookup in a hash table.

    h(w_1 … w_n) = mix64((w_1 P^(n-1) + … + w_n) mod 2^64 + n Q)     one multiplication and two additions a word

`words` are the hashes of normalized words (`pipelines.dedup.minhash_kernels.word_hashes`). The length enters the hash,
so a whole short item never equals a part of a long item. The table is open-addressing, a power of two, 0 a free slot.
Linear in the text for each length of n-gram that the table holds. Imported only where texts are searched.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lm.compiled import compiled
from pipelines.dedup.minhash_kernels import mix64, word_hashes

Array64 = NDArray[np.uint64]
Array32 = NDArray[np.uint32]

BASE, LENGTH_SALT = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)


@compiled
def ngram_hashes(words: Array64, length: int) -> Array64:
    """Return the hash of every run of `length` words; never 0."""
    out = np.empty(max(0, words.size - length + 1), np.uint64)
    power, running = np.uint64(1), np.uint64(0)
    for _ in range(length):
        power *= BASE
    for position in range(words.size):
        running = running * BASE + words[position]
        if position >= length:
            running -= words[position - length] * power
        if position >= length - 1:
            out[position - length + 1] = mix64(running + np.uint64(length) * LENGTH_SALT) | np.uint64(1)
    return out


@compiled
def fill_table(hashes: Array64, table: Array64) -> None:
    """Put `hashes` into an empty `table` of a power of two, at least twice as many slots."""
    mask = np.uint64(table.size - 1)
    for value in hashes:
        slot = (value >> np.uint64(16)) & mask
        while table[slot] != 0 and table[slot] != value:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = value


@compiled
def _holds(table: Array64, value: Any) -> bool:
    mask = np.uint64(table.size - 1)
    slot = (value >> np.uint64(16)) & mask
    while table[slot] != 0:
        if table[slot] == value:
            return True
        slot = (slot + np.uint64(1)) & mask
    return False


@compiled
def _any_ngram(words: Array64, length: int, table: Array64) -> bool:
    power, running = np.uint64(1), np.uint64(0)
    for _ in range(length):
        power *= BASE
    for position in range(words.size):
        running = running * BASE + words[position]
        if position >= length:
            running -= words[position - length] * power
        if position >= length - 1 and _holds(table, mix64(running + np.uint64(length) * LENGTH_SALT) | np.uint64(1)):
            return True
    return False


@compiled
def find_suspects(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    folding: Array32,
    expansions: Array32,
    lengths: NDArray[np.int64],
    table: Array64,
    suspects: NDArray[np.bool_],
) -> None:
    """Set `suspects[i]`: whether any n-gram of the text `data[offsets[i]:offsets[i + 1]]` has a hash that `table`
    holds.
    """
    longest = np.int64(0)
    for text in range(offsets.size - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    words = np.empty(longest // 2 + 1, np.uint64)
    for text in range(offsets.size - 1):
        num_words = word_hashes(data, offsets[text], offsets[text + 1], folding, expansions, words)
        for length in lengths:
            if num_words >= length and _any_ngram(words[:num_words], length, table):
                suspects[text] = True
                break


@compiled
def words_of(data: NDArray[np.uint8], folding: Array32, expansions: Array32) -> Array64:
    """Return the hashes of the normalized words of one text."""
    words = np.empty(data.size // 2 + 1, np.uint64)
    return words[: word_hashes(data, 0, data.size, folding, expansions, words)].copy()
