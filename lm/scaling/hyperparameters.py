"""Learning rate and batch size against compute.

    learning rate = 0.3118 · C^-0.1250,   tokens of a batch = 0.2920 · C^0.3271

(DeepSeek-AI 2024, arXiv:2401.02954, section 3.1, fitted from 1e17 to 2e19 FLOPs of AdamW on web text.) `fit_best` fits
the same two laws to trainings of one's own, whose rows have the columns

    learning_rate   lr, learning_rate, max_lr       batch_tokens    batch_tokens, tokens_per_batch
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lm.errors import InputError
from lm.scaling.bootstrap import Interval, interval
from lm.scaling.points import Array, budgets_of, column_of, positive_column
from lm.scaling.power_law import PowerLaw, fit_power_law

LEARNING_RATE = PowerLaw(0.3118, -0.1250)
BATCH_TOKENS = PowerLaw(0.2920, 0.3271)
FITTED_FLOPS = (1e17, 2e19)
_NAMES: Mapping[str, tuple[str, ...]] = {
    "learning_rate": ("lr", "learning_rate", "max_lr"),
    "batch_tokens": ("batch_tokens", "tokens_per_batch"),
}


@dataclass(frozen=True, slots=True)
class Suggested:
    """Learning rate and tokens of a batch for a budget; `extrapolated` outside of the fitted FLOPs."""

    learning_rate: float
    batch_tokens: int
    extrapolated: bool


def suggested(flops: float, context_length: int, num_tokens: float) -> Suggested:
    """Return the published laws' values. A batch is whole windows, and at most a hundredth of the tokens."""
    windows = min(BATCH_TOKENS.at(flops), num_tokens / 100) / context_length
    inside = FITTED_FLOPS[0] <= flops <= FITTED_FLOPS[1]
    return Suggested(LEARNING_RATE.at(flops), max(1, round(windows)) * context_length, not inside)


@dataclass(frozen=True, slots=True)
class BestFit:
    """Best value ∝ C^exponent, the 95% interval of the exponent, and the relative error at the largest budget of the
    law fitted to all others: None below three budgets.
    """

    law: PowerLaw
    exponent: Interval
    largest_left_out: float | None


def settings_in(rows: Sequence[Mapping[Any, Any]], where: str = "points") -> dict[str, Array]:
    """Return the columns of learning rates and batch sizes that the rows have, by the names above.

    Raises:
        InputError: a value that is not a finite number above 0.
    """
    columns = {name: column_of(rows[0], names) for name, names in _NAMES.items()} if rows else {}
    return {name: positive_column(rows, column, where) for name, column in columns.items() if column is not None}


def fit_best(
    flops: Array, values: Array, losses: Array, what: str = "learning rate", *, num_draws: int = 400, seed: int = 0
) -> BestFit:
    """Fit the best value against compute: at a budget the vertex of a parabola of the loss over log value. At each
    value the lowest loss of the budget counts, so that every value has its best size.

    Raises:
        InputError: fewer than two budgets with a loss minimum between their values.
    """
    groups = [(flops >= each * 0.9999) & (flops <= each * 1.01) for each in budgets_of(flops)]
    budgets = [(float(flops[group].min()), *_lowest(values[group], losses[group])) for group in groups]
    law, found = _law_of(budgets, what)
    generator = np.random.default_rng(seed)
    draws = []
    for _ in range(num_draws):
        picks = [generator.integers(len(x), size=len(x)) for _, x, _ in budgets]
        drawn = [(each, x[pick], y[pick]) for (each, x, y), pick in zip(budgets, picks, strict=True)]
        try:
            draws.append(_law_of(drawn, what)[0].exponent)
        except InputError:
            draws.append(np.nan)
    left_out = None
    if len(found) > 2:
        left_out = fit_power_law(*_columns(found[:-1]), what=what).at(found[-1][0]) / found[-1][1] - 1
    return BestFit(law, interval(np.array(draws)), left_out)


def _law_of(budgets: Sequence[tuple[float, Array, Array]], what: str) -> tuple[PowerLaw, list[tuple[float, float]]]:
    turning = [(flops, _turning_point(x, losses)) for flops, x, losses in budgets]
    best = [(flops, value) for flops, value in turning if value is not None]
    if len(best) < 2:
        raise InputError(f"{what}: {len(best)} budgets with a loss minimum between their values, expected at least 2")
    return fit_power_law(*_columns(best), what=what), best


def _lowest(values: Array, losses: Array) -> tuple[Array, Array]:
    """Return the logarithms of the distinct values, and the lowest loss of each."""
    distinct = np.unique(values)
    return np.log(distinct), np.array([losses[values == value].min() for value in distinct])


def _turning_point(x: Array, losses: Array) -> float | None:
    if len(np.unique(x)) < 3:
        return None
    center = x.mean()
    square, slope, _ = np.polyfit(x - center, losses, 2)
    vertex = center - slope / (2 * square) if square > 0 else np.inf
    return float(np.exp(vertex)) if x.min() <= vertex <= x.max() else None


def _columns(rows: Sequence[tuple[float, float]]) -> tuple[Array, Array]:
    table = np.array(rows)
    return table[:, 0], table[:, 1]
