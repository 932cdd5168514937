"""The parametric law fitted to points (Hoffmann et al. 2022, approach 3).

    minimize  Σ Huber_δ( log L_i − LSE(e, a − α log N_i, b − β log D_i) ),   δ = 1e-3
    E = exp(e),  A = exp(a),  B = exp(b)

by L-BFGS (SciPy) with the exact gradient, from the best of a grid of starts. Logarithms of N and D are centered inside,
which decides the number of steps and not the result. The bootstrap refits from the solution to residuals drawn with
replacement (widened by sqrt(n / (n − 5)) for the five parameters), so that the design of the points stays as it is.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from lm.errors import InputError
from lm.scaling.bootstrap import Interval, interval
from lm.scaling.law import FittedRange, LossLaw
from lm.scaling.points import Array, Count, Points, require

HUBER = 1e-3
_LEAST_POINTS = 6
_REFINED = 24
"""Starts of the grid from which L-BFGS runs: those with the lowest objective."""
_SIZES, _EXPONENTS = (-3.0, -1.0, 0.0, 1.0), (0.1, 0.3, 0.6, 1.0)
_GRID = list(itertools.product((-1.0, -0.5, 0.0, 0.5, 1.0), _SIZES, _SIZES, _EXPONENTS, _EXPONENTS))
"""(e, a, b, α, β) of the starts, e relative to the logarithm of the lowest loss, a and b at the points' center."""


@dataclass(frozen=True, slots=True)
class ParametricFit:
    """The law, its 95% intervals by name, its draws `[draws 5]` in the order E, A, B, α, β, and the residuals'
    deviation in log loss.
    """

    law: LossLaw
    count: Count
    intervals: dict[str, Interval]
    draws: Array
    deviation: float

    def loss_interval(self, num_parameters: float, num_tokens: float) -> Interval:
        """Return the 95% interval of L(N, D)."""
        return interval(np.array([LossLaw(*draw).loss(num_parameters, num_tokens) for draw in self.draws]))

    def optimum_interval(self, flops: float) -> tuple[Interval, Interval]:
        """Return the 95% intervals of N*(C) and D*(C)."""
        found = np.array([LossLaw(*draw).optimal(flops) for draw in self.draws])
        return interval(found[:, 0]), interval(found[:, 1])


def fit_parametric(points: Points, *, num_draws: int = 400, seed: int = 0, source: str = "own fit") -> ParametricFit:
    """Fit the law and its intervals.

    Raises:
        InputError: too few points, or points of a single size or a single number of tokens.
    """
    require(points, _LEAST_POINTS, "parametric law")
    for name, values in (("sizes", points.parameters), ("numbers of tokens", points.tokens)):
        if len(np.unique(values)) < 2:
            raise InputError(f"parametric law: all points have equal {name}, expected at least 2 different values")
    objective = _Objective(points)
    best = _best(objective, np.log(points.loss))
    predicted = objective.log_loss(best)
    residuals = np.log(points.loss) - predicted
    widened = residuals * math.sqrt(len(points) / max(1, len(points) - 5))
    generator = np.random.default_rng(seed)
    draws = np.array(
        [
            objective.constants(_refined(objective, best, predicted + generator.choice(widened, len(points))))
            for _ in range(num_draws)
        ]
    ).reshape(-1, 5)
    names = ("E", "A", "B", "alpha", "beta")
    intervals = {name: interval(draws[:, i]) for i, name in enumerate(names)}
    exponents = draws[:, 4] / (draws[:, 3] + draws[:, 4])
    intervals |= {"a": interval(exponents), "b": interval(1 - exponents)}
    law = LossLaw(*objective.constants(best), source=source, fitted=_range(points))
    return ParametricFit(law, points.count, intervals, draws, float(residuals.std()))


def leave_largest_out(points: Points, seed: int = 0) -> float:
    """Return the relative error of the mean loss of the largest budget, predicted by the fit to all other points.

    Raises:
        InputError: too few points without the largest budget.
    """
    largest = points.budgets()[-1]
    rest, held = points.take(points.flops < largest * 0.9999), points.of_budget(largest)
    law = fit_parametric(rest, num_draws=0, seed=seed).law
    predicted = np.array([law.loss(n, d) for n, d in zip(held.parameters, held.tokens, strict=True)])
    return float(np.mean(predicted / held.loss - 1))


def lowest_left_out(points: Points, seed: int = 0) -> float:
    """Return the relative error of the lowest loss of the largest budget, predicted by the fit to all other points.

    Raises:
        InputError: too few points without the largest budget.
    """
    largest = points.budgets()[-1]
    held = points.of_budget(largest)
    best = int(np.argmin(held.loss))
    law = fit_parametric(points.take(points.flops < largest * 0.9999), num_draws=0, seed=seed).law
    return law.loss(float(held.parameters[best]), float(held.tokens[best])) / float(held.loss[best]) - 1


class _Objective:
    """Huber loss of the five parameters θ = (e, a, b, α, β) at centered logarithms, with its gradient."""

    def __init__(self, points: Points) -> None:
        log_n, log_d = np.log(points.parameters), np.log(points.tokens)
        self.centers = float(log_n.mean()), float(log_d.mean())
        self.log_n, self.log_d = log_n - self.centers[0], log_d - self.centers[1]

    def log_loss(self, theta: Array) -> Array:
        """Return log L of every point."""
        return np.asarray(np.logaddexp.reduce(self._terms(theta), axis=0))

    def value_and_gradient(self, theta: Array, log_losses: Array) -> tuple[float, Array]:
        """Return the sum of Huber losses and its gradient."""
        terms = self._terms(theta)
        predicted = np.logaddexp.reduce(terms, axis=0)
        residual = predicted - log_losses
        clipped = np.clip(residual, -HUBER, HUBER)
        value = float(np.sum(clipped * (residual - 0.5 * clipped)))
        weights = clipped * np.exp(terms - predicted)
        sums = weights.sum(axis=1)
        gradient = np.array([*sums, -(weights[1] @ self.log_n), -(weights[2] @ self.log_d)])
        return value / HUBER**2, gradient / HUBER**2  # of the order of the number of points

    def constants(self, theta: Array) -> tuple[float, float, float, float, float]:
        """Return E, A, B, α, β at logarithms that are not centered."""
        e, a, b, alpha, beta = (float(value) for value in theta)
        return math.exp(e), math.exp(a + alpha * self.centers[0]), math.exp(b + beta * self.centers[1]), alpha, beta

    def _terms(self, theta: Array) -> Array:
        e, a, b, alpha, beta = theta
        return np.stack([np.full_like(self.log_n, e), a - alpha * self.log_n, b - beta * self.log_d])


def _best(objective: _Objective, log_losses: Array) -> Array:
    """Return the best solution from the most promising starts."""
    starts = np.array(_GRID)
    starts[:, 0] += log_losses.min()
    values = [objective.value_and_gradient(start, log_losses)[0] for start in starts]
    promising = starts[np.argsort(values)[:_REFINED]]
    found = [_refined(objective, start, log_losses) for start in promising]
    return min(found, key=lambda theta: objective.value_and_gradient(theta, log_losses)[0])


def _refined(objective: _Objective, start: Array, log_losses: Array) -> Array:
    result = minimize(
        objective.value_and_gradient,
        start,
        args=(log_losses,),
        jac=True,
        method="L-BFGS-B",
        bounds=[(None, None)] * 3 + [(1e-3, 4.0)] * 2,
        options={"maxiter": 2_000, "maxfun": 4_000, "ftol": 1e-13, "gtol": 1e-9},
    )
    return np.asarray(result.x)


def _range(points: Points) -> FittedRange:
    return FittedRange(
        parameters=(float(points.parameters.min()), float(points.parameters.max())),
        tokens=(float(points.tokens.min()), float(points.tokens.max())),
    )
