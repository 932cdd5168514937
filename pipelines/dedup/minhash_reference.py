"""MinHash in plain Python: the reference for the compiled loops. Slow; for tests and for reading.

With `hash_shingle` as its hash and the same permutations, datasketch's `MinHash(scheme="affine32")` gives the same
signature.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipelines.dedup.minhash_config import FEWEST_WORDS
from pipelines.dedup.normalization import normalize

_MASK = 2**64 - 1
_FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


def shingles(text: str, ngram: int) -> list[tuple[str, ...]]:
    """Return every run of `ngram` words of the normalized text; none of a text of fewer than `FEWEST_WORDS`."""
    words = normalize(text).split(" ")
    if len(words) < FEWEST_WORDS:
        return []
    return [tuple(words[start : start + ngram]) for start in range(len(words) - ngram + 1)]


def hash_shingle(words: Iterable[str]) -> int:
    """Return the 64-bit hash of one shingle: FNV-1a over its words' FNV-1a hashes, finished by SplitMix64's mixer."""
    return _mix64(_fnv(_fnv(map(ord, word)) for word in words))


def signature(text: str, ngram: int, multipliers: NDArray[np.uint32], increments: NDArray[np.uint32]) -> list[int]:
    """Return the minimum of every permutation over the shingles; an empty list without shingles."""
    hashes = [_fmix32(hash_shingle(shingle) >> 32) for shingle in shingles(text, ngram)]
    if not hashes:
        return []
    pairs = zip(multipliers.tolist(), increments.tolist(), strict=True)
    return [min((a * value + b) % 2**32 for value in hashes) for a, b in pairs]


def jaccard(left: str, right: str, ngram: int) -> float:
    """Return |A ∩ B| / |A ∪ B| of the shingle sets of two texts."""
    first, second = set(shingles(left, ngram)), set(shingles(right, ngram))
    return len(first & second) / len(first | second) if first | second else 0.0


def _fnv(values: Iterable[int]) -> int:
    running = _FNV_OFFSET
    for value in values:
        running = (running ^ value) * _FNV_PRIME & _MASK
    return running


def _mix64(value: int) -> int:
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31


def _fmix32(value: int) -> int:
    value = (value ^ value >> 16) * 0x85EBCA6B % 2**32
    value = (value ^ value >> 13) * 0xC2B2AE35 % 2**32
    return value ^ value >> 16
