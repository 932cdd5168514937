"""Synthetic text of an open vocabulary and any length, for measuring how memory grows with the corpus.

Word frequencies follow two power laws, as in large corpora: rank^-1 to rank 6,000, rank^-1.8 behind it (Ferrer i Cancho
and Solé 2001, "Two regimes in the frequency of words", who found exponents near 1 and 2), so new words never cease.
Words are strings of letters made from their ranks; the longer the rarer.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_HEAD = 6_000
_TAIL_EXPONENT = 1.8
_WORDS = 1 << 18
_LETTERS = np.frombuffer(b"etaoinshrdlcumwfgypbvkjxqz", np.uint8)
_MAX_LENGTH = 10


def open_text(size_bytes: int, seed: int = 0) -> Iterator[str]:
    """Yield documents of about two megabytes, with at least `size_bytes` in total."""
    generator = np.random.Generator(np.random.PCG64(seed))
    given = 0
    while given < size_bytes:
        data = _words(_ranks(generator, _WORDS))
        given += len(data)
        yield data.decode("ascii")


def _ranks(generator: np.random.Generator, number: int) -> npt.NDArray[np.uint64]:
    head = np.cumsum(1.0 / np.arange(1, _HEAD + 1))
    tail = 1.0 / (_TAIL_EXPONENT - 1)  # the sum over all ranks behind, where the head's last rank has weight 1 / _HEAD
    drawn = generator.random(number) * (head[-1] + tail)
    ranks = np.searchsorted(head, drawn).astype(np.uint64) + np.uint64(1)
    rare = drawn >= head[-1]
    # The inverse of Pareto's law, up to the largest rank that a float holds exactly.
    far = _HEAD * generator.random(int(rare.sum())) ** (-1.0 / (_TAIL_EXPONENT - 1))
    ranks[rare] = np.minimum(far, 2.0**52).astype(np.uint64)
    return ranks


def _words(ranks: npt.NDArray[np.uint64]) -> bytes:
    """Return each rank as a space and a word: the rank in base 26, with scrambled digits."""
    places = np.uint64(26) ** np.arange(_MAX_LENGTH, dtype=np.uint64)
    digits = (ranks[:, None] // places) % np.uint64(26)
    cells = np.empty((ranks.size, _MAX_LENGTH + 1), np.uint8)
    cells[:, 0] = ord(" ")
    cells[:, 1:] = _LETTERS[(digits + np.cumsum(digits, axis=1)) % np.uint64(26)]
    lengths = 1 + np.ceil(np.log(ranks.astype(np.float64) + 1) / np.log(26)).astype(np.int64)
    return cells[np.arange(_MAX_LENGTH + 1) <= lengths[:, None]].tobytes()
