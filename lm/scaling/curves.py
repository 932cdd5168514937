"""Minimum over training curves (Hoffmann et al. 2022, approach 1): at each FLOPs the size whose curve lies lowest.

Points of one size, at several numbers of tokens, are its curve; between them log loss is interpolated over log FLOPs.
On its way a run with a schedule for a longer training lies above what a run of that length reaches, so that points of
runs that ended make better curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lm.errors import InputError
from lm.scaling.bootstrap import Interval, estimates, interval
from lm.scaling.isoflop import Minimum
from lm.scaling.points import Array, Points
from lm.scaling.power_law import PowerLaw, fit_power_law

_LEAST_CURVES = 3


@dataclass(frozen=True, slots=True)
class CurveFit:
    """The lowest sizes along the FLOPs, and the laws N* ∝ C^a and D* ∝ C^b through them.

    The 95% intervals of the exponents are over whole curves drawn with replacement.
    """

    minima: tuple[Minimum, ...]
    parameters: PowerLaw
    tokens: PowerLaw
    a: Interval
    b: Interval


def fit_curves(points: Points, num_budgets: int = 64, *, num_draws: int = 400, seed: int = 0) -> CurveFit:
    """Fit the laws to the envelope at `num_budgets` FLOPs, where at least three curves reach.

    Raises:
        InputError: fewer than three curves of two points, or curves that share no FLOPs.
    """
    curves = _curves(points)
    minima, parameters, tokens = _fitted(curves, num_budgets)
    generator = np.random.default_rng(seed)
    drawn = (sorted(set(generator.choice(len(curves), len(curves)))) for _ in range(num_draws))
    draws = estimates(
        ([curves[index] for index in indices] for indices in drawn),
        lambda chosen: tuple(law.exponent for law in _fitted(chosen, num_budgets)[1:]),
    )
    a, b = (interval(draws[:, i]) if draws.shape[-1] == 2 else Interval(np.nan, np.nan) for i in range(2))
    return CurveFit(minima, parameters, tokens, a, b)


def leave_largest_out(points: Points) -> float:
    """Return the relative error of N* at the largest FLOPs, predicted by the fit to the first half of the envelope.

    Raises:
        InputError: as of `fit_curves`.
    """
    minima, _, _ = _fitted(_curves(points), 64)
    largest = minima[-1]
    return _laws(minima[: (len(minima) + 1) // 2])[0].at(largest.flops) / largest.parameters - 1


def _curves(points: Points) -> list[Points]:
    curves = [points.take(points.parameters == size) for size in np.unique(points.parameters)]
    return [curve for curve in curves if len(np.unique(curve.flops)) > 1]


def _fitted(curves: list[Points], num_budgets: int) -> tuple[tuple[Minimum, ...], PowerLaw, PowerLaw]:
    if len(curves) < _LEAST_CURVES:
        raise InputError(f"training curves: {len(curves)} sizes with several points, expected at least {_LEAST_CURVES}")
    low, high = (sorted(edge(curve.flops) for curve in curves) for edge in (np.min, np.max))
    if low[2] >= high[-3]:
        raise InputError("training curves: no FLOPs range that three curves share, expected one")
    found = [_lowest(curves, flops) for flops in np.geomspace(low[2], high[-3], num_budgets)]
    minima = tuple(each for each in found if each is not None)
    return minima, *_laws(minima)


def _laws(minima: Sequence[Minimum]) -> tuple[PowerLaw, PowerLaw]:
    flops, sizes, tokens = (
        np.array([getattr(each, name) for each in minima]) for name in ("flops", "parameters", "tokens")
    )
    return fit_power_law(flops, sizes, "N*(C)"), fit_power_law(flops, tokens, "D*(C)")


def _lowest(curves: list[Points], flops: float) -> Minimum | None:
    """Return the lowest curve at these FLOPs; None where it is of the smallest or the largest size that reaches them,
    which is an edge and not a minimum.
    """
    reaching = [curve for curve in curves if curve.flops.min() <= flops <= curve.flops.max()]
    losses = [_at(curve, curve.loss, flops) for curve in reaching]
    number = int(np.argmin(losses))
    if number in (0, len(reaching) - 1):
        return None
    best = reaching[number]
    return Minimum(float(flops), float(best.parameters[0]), _at(best, best.tokens, flops), min(losses))


def _at(curve: Points, values: Array, flops: float) -> float:
    order = np.argsort(curve.flops)
    return float(np.exp(np.interp(np.log(flops), np.log(curve.flops[order]), np.log(values[order]))))
