"""All fits of one set of points as plain values: IsoFLOP minima, the minimum over curves, and the parametric law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lm.errors import InputError
from lm.scaling import curves, hyperparameters, isoflop, parametric
from lm.scaling.bootstrap import Interval
from lm.scaling.points import Array, Points


def fits_of(
    points: Points, *, num_draws: int = 400, seed: int = 0, settings: Mapping[str, Array] | None = None
) -> dict[str, Any]:
    """Fit everything that the points allow; a fit that they do not allow has the reason as `refused`. `settings` are
    the points' learning rates and batch sizes, by name.

    Raises:
        InputError: the points allow no fit at all.
    """
    found: dict[str, Any] = {"count": points.count, "num_points": len(points), "isoflop": {}}
    for method in isoflop.METHODS:
        try:
            found["isoflop"][method] = _isoflop(points, method, num_draws, seed)
        except InputError as error:
            found["isoflop"][method] = {"refused": str(error)}
    try:
        found["curves"] = _curves(points, num_draws, seed)
    except InputError as error:
        found["curves"] = {"refused": str(error)}
    try:
        found["parametric"] = _parametric(points, num_draws, seed)
    except InputError as error:
        found["parametric"] = {"refused": str(error)}
    fits = (*found["isoflop"].values(), found["curves"], found["parametric"])
    refusals = [fit["refused"] for fit in fits if "refused" in fit]
    if len(refusals) == len(fits):
        raise InputError("; ".join(dict.fromkeys(refusals)))
    found["best"] = {
        name: _best(points, values, name.replace("_", " "), num_draws, seed)
        for name, values in (settings or {}).items()
    }
    return found


def _bounds(each: Interval) -> dict[str, float] | None:
    """Return an interval as plain values; None where no draw could be fitted."""
    return asdict(each) if math.isfinite(each.low) else None


def _isoflop(points: Points, method: isoflop.Method, num_draws: int, seed: int) -> dict[str, Any]:
    fit = isoflop.fit_isoflop(points, method, num_draws=num_draws, seed=seed)
    found = asdict(fit)
    found["a"], found["b"] = _bounds(fit.a), _bounds(fit.b)
    try:
        found["largest_left_out"] = isoflop.leave_largest_out(points, method)
    except InputError:
        found["largest_left_out"] = None
    return found


def _curves(points: Points, num_draws: int, seed: int) -> dict[str, Any]:
    fit = curves.fit_curves(points, num_draws=num_draws, seed=seed)
    bounds = {"a": _bounds(fit.a), "b": _bounds(fit.b)}
    try:
        return {**asdict(fit), **bounds, "largest_left_out": curves.leave_largest_out(points)}
    except InputError:
        return {**asdict(fit), **bounds, "largest_left_out": None}


def _best(points: Points, values: Array, what: str, num_draws: int, seed: int) -> dict[str, Any]:
    try:
        fit = hyperparameters.fit_best(points.flops, values, points.loss, what, num_draws=num_draws, seed=seed)
    except InputError as error:
        return {"refused": str(error)}
    return {**asdict(fit), "exponent": _bounds(fit.exponent)}


def _parametric(points: Points, num_draws: int, seed: int) -> dict[str, Any]:
    fit = parametric.fit_parametric(points, num_draws=num_draws, seed=seed)
    law = fit.law
    found: dict[str, Any] = {"E": law.e, "A": law.a, "B": law.b, "alpha": law.alpha, "beta": law.beta}
    found["a"], found["b"] = law.exponents
    found["intervals"] = {name: _bounds(each) for name, each in fit.intervals.items()}
    found["deviation"], found["draws"] = fit.deviation, fit.draws.tolist()
    found["fitted"], found["source"] = asdict(law.fitted) if law.fitted else None, law.source
    try:
        found["largest_left_out"] = parametric.leave_largest_out(points, seed)
    except InputError:
        found["largest_left_out"] = None
    return found
