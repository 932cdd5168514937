"""Learning rate and batch size against compute.

    learning rate = 0.3118 · C^-0.1250,   tokens of a batch = 0.2920 · C^0.3271

(DeepSeek-AI 2024, arXiv:2401.02954, section 3.1, fitted from 1e17 to 2e19 FLOPs of AdamW on web text.) `fit_best` fits
the same two laws to trainings of one's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lm.errors import InputError
from lm.scaling.points import Array
from lm.scaling.power_law import PowerLaw, fit_power_law

LEARNING_RATE = PowerLaw(0.3118, -0.1250)
BATCH_TOKENS = PowerLaw(0.2920, 0.3271)
FITTED_FLOPS = (1e17, 2e19)


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


def fit_best(flops: Array, values: Array, losses: Array, what: str = "learning rate") -> PowerLaw:
    """Fit best value ∝ C^exponent, the best of a budget being the vertex of a parabola of the loss over log value.

    Raises:
        InputError: fewer than two budgets whose losses turn between their values.
    """
    best: list[tuple[float, float]] = []
    for budget in np.unique(flops):
        chosen = flops == budget
        value = _turning_point(np.log(values[chosen]), losses[chosen])
        if value is not None:
            best.append((float(budget), value))
    if len(best) < 2:
        raise InputError(f"{what}: {len(best)} budgets whose losses turn between their values, expected at least 2")
    return fit_power_law(*_columns(best), what=what)


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
