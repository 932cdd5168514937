"""Bootstrap: the spread of a fitted number over resampled points, deterministic by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from lm.errors import InputError
from lm.scaling.points import Array, Points

T = TypeVar("T")
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """The central 95% of the draws."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def interval(draws: Array) -> Interval:
    """Return the percentiles 2.5 and 97.5 of the draws that are numbers."""
    known = draws[np.isfinite(draws)]
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(known, (tail, 1 - tail)) if len(known) else (np.nan, np.nan)
    return Interval(float(low), float(high))


def resampled_by_budget(points: Points, num_draws: int, seed: int) -> Iterator[Points]:
    """Yield points drawn with replacement within each budget, so that no budget is lost."""
    generator = np.random.default_rng(seed)
    budgets = points.budgets()
    groups = [np.flatnonzero((points.flops >= b * 0.9999) & (points.flops <= b * 1.01)) for b in budgets]
    for _ in range(num_draws):
        yield points.take(np.concatenate([generator.choice(group, len(group)) for group in groups]))


def estimates(draws: Iterable[T], estimate: Callable[[T], tuple[float, ...]]) -> Array:
    """Return `estimate` of every draw, `[draws values]`; a draw that cannot be fitted is a row of NaN."""
    rows: list[tuple[float, ...] | None] = []
    for drawn in draws:
        try:
            rows.append(estimate(drawn))
        except InputError:
            rows.append(None)
    width = max((len(row) for row in rows if row is not None), default=1)
    return np.array([(np.nan,) * width if row is None else row for row in rows])
