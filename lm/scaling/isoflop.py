"""IsoFLOP minima (Hoffmann et al. 2022, approach 2): at each budget the model with the lowest loss, then power laws
N* ∝ C^a and D* ∝ C^b through the minima.

    lowest      the run with the lowest loss
    quadratic   the vertex of a parabola of the loss over log N, through all runs of the budget

The two differ by half in N* far from the points, so a result carries its method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lm.errors import InputError
from lm.scaling.bootstrap import Interval, estimates, interval, resampled_by_budget
from lm.scaling.points import Count, Points
from lm.scaling.power_law import PowerLaw, fit_power_law

Method = Literal["lowest", "quadratic"]
_LEAST_SIZES = 3
METHODS: tuple[Method, ...] = ("lowest", "quadratic")


@dataclass(frozen=True, slots=True)
class Minimum:
    """The best model of one budget."""

    flops: float
    parameters: float
    tokens: float
    loss: float


@dataclass(frozen=True, slots=True)
class IsoFlopFit:
    """The minima and the laws through them, with the 95% intervals of the exponents; `skipped` budgets have no
    minimum.
    """

    method: Method
    count: Count
    minima: tuple[Minimum, ...]
    parameters: PowerLaw
    tokens: PowerLaw
    a: Interval
    b: Interval
    skipped: tuple[float, ...]


def fit_isoflop(points: Points, method: Method, *, num_draws: int = 400, seed: int = 0) -> IsoFlopFit:
    """Fit the optimal model and tokens against the budget.

    Raises:
        InputError: fewer than two budgets with a minimum.
    """
    found, skipped = _minima(points, method)
    parameters, tokens = _laws(found)
    draws = estimates(
        resampled_by_budget(points, num_draws, seed),
        lambda drawn: tuple(law.exponent for law in _laws(_minima(drawn, method)[0])),
    )
    a, b = (interval(draws[:, i]) if num_draws else Interval(np.nan, np.nan) for i in range(2))
    return IsoFlopFit(method, points.count, tuple(found), parameters, tokens, a, b, tuple(skipped))


def leave_largest_out(points: Points, method: Method) -> float:
    """Return the relative error of N* at the largest budget, predicted by the fit to all others.

    Raises:
        InputError: fewer than three budgets with a minimum.
    """
    found, _ = _minima(points, method)
    if len(found) < 3:
        raise InputError(f"leave-the-largest-out: {len(found)} budgets with a minimum, expected at least 3")
    *rest, largest = found
    return _laws(rest)[0].at(largest.flops) / largest.parameters - 1


def _minima(points: Points, method: Method) -> tuple[list[Minimum], list[float]]:
    """Return the minima by rising budget, and the budgets without one."""
    found, skipped = [], []
    for flops in points.budgets():
        at = points.of_budget(flops)
        few = len(np.unique(at.parameters)) < _LEAST_SIZES
        minimum = None if few else _lowest(at, flops) if method == "lowest" else _vertex(at, flops)
        if minimum is None:
            skipped.append(flops)
        else:
            found.append(minimum)
    return found, skipped


def _laws(minima: list[Minimum]) -> tuple[PowerLaw, PowerLaw]:
    flops, parameters, tokens = (
        np.array([getattr(each, name) for each in minima]) for name in ("flops", "parameters", "tokens")
    )
    return fit_power_law(flops, parameters, "N*(C)"), fit_power_law(flops, tokens, "D*(C)")


def _lowest(at: Points, flops: float) -> Minimum:
    best = int(np.argmin(at.loss))
    return Minimum(flops, float(at.parameters[best]), float(at.tokens[best]), float(at.loss[best]))


def _vertex(at: Points, flops: float) -> Minimum | None:
    """Return the vertex; None where the losses do not turn. A vertex outside of the sizes is an extrapolation and none
    either.
    """
    x = np.log(at.parameters)
    center = x.mean()
    square, slope, constant = np.polyfit(x - center, at.loss, 2)
    if square <= 0:
        return None
    vertex = -slope / (2 * square) + center
    if not x.min() <= vertex <= x.max():
        return None
    parameters = float(np.exp(vertex))
    # The FLOPs per parameter and token vary little over a budget; at 6 N D they are constant.
    tokens = float(np.exp(np.interp(vertex, *_sorted(x, np.log(at.tokens)))))
    return Minimum(flops, parameters, tokens, float(constant - slope**2 / (4 * square)))


def _sorted(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(x)
    return x[order], y[order]
