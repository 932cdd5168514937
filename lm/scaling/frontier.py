"""The loss along the compute-optimal frontier: a power law L*(C) = K · C^−γ through the lowest loss of each budget.

It has no floor and no shape of the model, so it holds over a few doublings alone. Where small models are still learning
their text's structure, it follows their losses better than the parametric law, whose terms of N and D are summed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from lm.errors import InputError
from lm.scaling.bootstrap import Interval
from lm.scaling.isoflop import fit_isoflop
from lm.scaling.points import Points
from lm.scaling.power_law import PowerLaw, fit_power_law

_LEAST_BUDGETS = 3


@dataclass(frozen=True, slots=True)
class Frontier:
    """L*(C), the optimal parameters N*(C), and the points (FLOPs, loss) that L* was fitted to.

    `largest_left_out` is the relative error of the loss at the largest budget, predicted from all others.
    """

    loss: PowerLaw
    parameters: PowerLaw
    points: tuple[tuple[float, float], ...]
    largest_left_out: float | None

    def interval(self, flops: float) -> Interval:
        """Return the 95% prediction interval of a run's loss: that of least squares, with Student's t."""
        x, y = np.log(np.array(self.points)).T
        residuals = y - math.log(self.loss.coefficient) - self.loss.exponent * x
        free = len(x) - 2
        spread = math.sqrt(float(residuals @ residuals) / free)
        away = (math.log(flops) - x.mean()) ** 2 / float(((x - x.mean()) ** 2).sum())
        half = float(stats.t.ppf(0.975, free)) * spread * math.sqrt(1 + 1 / len(x) + away)
        return Interval(self.loss.at(flops) * math.exp(-half), self.loss.at(flops) * math.exp(half))


def fit_frontier(points: Points) -> Frontier:
    """Fit both power laws to the lowest run of each budget.

    Raises:
        InputError: fewer than three budgets of three sizes.
    """
    fit = fit_isoflop(points, "lowest", num_draws=0)
    found = tuple((each.flops, each.loss) for each in fit.minima)
    if len(found) < _LEAST_BUDGETS:
        raise InputError(f"frontier: {len(found)} budgets with three sizes, expected at least {_LEAST_BUDGETS}")
    *rest, (flops, loss) = found
    left_out = _law(rest).at(flops) / loss - 1 if len(rest) >= _LEAST_BUDGETS - 1 else None
    return Frontier(_law(found), fit.parameters, found, left_out)


def _law(found: list[tuple[float, float]] | tuple[tuple[float, float], ...]) -> PowerLaw:
    flops, losses = np.array(found).T
    return fit_power_law(flops, losses, "L*(C)")
