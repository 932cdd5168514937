"""Seeded choice: the same parts give the same sequence, on every platform and Python version.

Only `random.Random.random` is drawn from, whose sequence Python promises to keep; `choice` and `shuffle` carry no
such promise.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A stream of choices named by its parts, as in `Dice(seed, "page", 17)`; other parts give an independent
    stream."""

    __slots__ = ("random",)

    def __init__(self, *parts: str | int) -> None:
        self.random = random.Random(int.from_bytes(_digest(parts), "big")).random

    def pick(self, options: Sequence[T]) -> T:
        """Return one of `options`."""
        return options[int(self.random() * len(options))]

    def between(self, low: int, high: int) -> int:
        """Return an integer from `low` to `high`, both included."""
        return low + int(self.random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.random() < probability

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """Return all of `options` in a random order (Fisher and Yates)."""
        items = list(options)
        for last in range(len(items) - 1, 0, -1):
            other = int(self.random() * (last + 1))
            items[last], items[other] = items[other], items[last]
        return items

    def sample(self, options: Sequence[T], size: int) -> list[T]:
        """Return `size` different ones of `options`, or all of them in a random order where there are fewer."""
        items = list(options)
        size = min(size, len(items))
        for first in range(size):
            other = first + int(self.random() * (len(items) - first))
            items[first], items[other] = items[other], items[first]
        return items[:size]


def derived_uuid(*parts: str | int) -> uuid.UUID:
    """Return a version 4 UUID whose bits come from the parts."""
    return uuid.UUID(bytes=_digest(parts), version=4)


def _digest(parts: tuple[str | int, ...]) -> bytes:
    return hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=16).digest()
