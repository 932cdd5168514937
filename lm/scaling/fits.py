"""All fits of one set of points as plain values: IsoFLOP minima by both methods, and the parametric law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from lm.errors import InputError
from lm.scaling import isoflop, parametric
from lm.scaling.bootstrap import Interval, interval
from lm.scaling.law import FittedRange, LossLaw
from lm.scaling.points import Points


def fits_of(points: Points, *, num_draws: int = 400, seed: int = 0) -> dict[str, Any]:
    """Fit everything that the points allow; a fit that they do not allow has the reason as `refused`.

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
        found["parametric"] = _parametric(points, num_draws, seed)
    except InputError as error:
        found["parametric"] = {"refused": str(error)}
    refusals = [fit["refused"] for fit in (*found["isoflop"].values(), found["parametric"]) if "refused" in fit]
    if len(refusals) == 3:
        raise InputError("; ".join(dict.fromkeys(refusals)))
    return found


def law_in(found: Mapping[str, Any]) -> LossLaw:
    """Return the parametric law of plain fits.

    Raises:
        InputError: the points allowed no parametric law.
    """
    fit = found.get("parametric", {})
    if "E" not in fit:
        raise InputError(f"law: {fit.get('refused', 'no parametric law')}, expected the file of `fit --json`")
    ranges = FittedRange(tuple(fit["fitted"]["parameters"]), tuple(fit["fitted"]["tokens"]))
    return LossLaw(fit["E"], fit["A"], fit["B"], fit["alpha"], fit["beta"], fit["source"], ranges)


def predicted_interval(found: Mapping[str, Any], num_parameters: float, num_tokens: float) -> Interval:
    """Return the 95% interval of the loss from the draws of plain fits."""
    draws = found["parametric"]["draws"]
    return interval(np.array([LossLaw(*draw).loss(num_parameters, num_tokens) for draw in draws]))


def _isoflop(points: Points, method: isoflop.Method, num_draws: int, seed: int) -> dict[str, Any]:
    fit = isoflop.fit_isoflop(points, method, num_draws=num_draws, seed=seed)
    found = asdict(fit)
    try:
        found["largest_left_out"] = isoflop.leave_largest_out(points, method)
    except InputError:
        found["largest_left_out"] = None
    return found


def _parametric(points: Points, num_draws: int, seed: int) -> dict[str, Any]:
    fit = parametric.fit_parametric(points, num_draws=num_draws, seed=seed)
    law = fit.law
    found: dict[str, Any] = {"E": law.e, "A": law.a, "B": law.b, "alpha": law.alpha, "beta": law.beta}
    found["a"], found["b"] = law.exponents
    found["intervals"] = {name: asdict(each) for name, each in fit.intervals.items()}
    found["deviation"], found["draws"] = fit.deviation, fit.draws.tolist()
    found["fitted"], found["source"] = asdict(law.fitted) if law.fitted else None, law.source
    try:
        found["largest_left_out"] = parametric.leave_largest_out(points, seed)
    except InputError:
        found["largest_left_out"] = None
    return found
