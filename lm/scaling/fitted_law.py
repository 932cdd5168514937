"""A fitted law out of plain values, as `lm.scaling.fits` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lm.errors import InputError
from lm.scaling.bootstrap import Interval, interval
from lm.scaling.law import FittedRange, LossLaw


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
