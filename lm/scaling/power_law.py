"""Power laws y = coefficient · x^exponent, fitted by least squares on logarithms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lm.errors import InputError
from lm.scaling.points import Array


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """y = coefficient · x^exponent."""

    coefficient: float
    exponent: float

    def at(self, x: float) -> float:
        """Return y at x."""
        return self.coefficient * x**self.exponent


def fit_power_law(x: Array, y: Array, what: str = "power law") -> PowerLaw:
    """Fit log y = log coefficient + exponent · log x.

    Raises:
        InputError: fewer than two distinct x.
    """
    if len(np.unique(x)) < 2:
        raise InputError(f"{what}: {len(np.unique(x))} distinct budgets, expected at least 2")
    exponent, intercept = np.polyfit(np.log(x), np.log(y), 1)
    return PowerLaw(math.exp(intercept), float(exponent))
