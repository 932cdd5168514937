"""Floating-point formats: bits, range, smallest normal number, spacing at 1, and rounding by example.

From torch's own tables (`torch.finfo`); tf32 is not a type of torch, so its row is computed from its 8 exponent and 10
mantissa bits (NVIDIA A100 architecture white paper, 2020). Rounding is to nearest, ties to even.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

EXAMPLES = (1.001, 0.1, 300.0, 70_000.0, 1e-6)
"""Numbers whose rounding is shown: a small step above 1, a fraction, what overflows E4M3's and float16's range, and
what underflows float16's normal numbers.
"""


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """One format; `largest` is its largest finite number, `spacing` the distance from 1 to the next number."""

    name: str
    bits: int
    exponent_bits: int
    mantissa_bits: int
    largest: float
    smallest_normal: float
    spacing: float

    def rounded(self, value: float) -> float:
        """Return the nearest number of the format as torch converts it. Above the range that is infinity; E4M3 has no
        infinity and keeps its largest number.
        """
        if self.name == "tf32":
            return _rounded_tf32(value)
        return float(torch.tensor(value, dtype=torch.float64).to(_TYPES[self.name]).double())


_TYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "fp8 E4M3": torch.float8_e4m3fn,
    "fp8 E5M2": torch.float8_e5m2,
}
_EXPONENT_BITS = {"float32": 8, "bfloat16": 8, "float16": 5, "fp8 E4M3": 4, "fp8 E5M2": 5}


def _of_torch(name: str) -> NumberFormat:
    info, exponent = torch.finfo(_TYPES[name]), _EXPONENT_BITS[name]
    return NumberFormat(name, info.bits, exponent, info.bits - exponent - 1, info.max, info.smallest_normal, info.eps)


_TF32 = NumberFormat("tf32", 19, 8, 10, (2 - 2**-10) * 2.0**127, 2.0**-126, 2.0**-10)
NUMBER_FORMATS = (
    _of_torch("float32"),
    _TF32,
    *(_of_torch(name) for name in ("bfloat16", "float16", "fp8 E4M3", "fp8 E5M2")),
)
"""The widest mantissa first, tf32 beside the type that it is stored as."""


def _rounded_tf32(value: float) -> float:
    """Round the mantissa of a float32 to 10 bits; the exponent is float32's, subnormal numbers included."""
    if value == 0 or not math.isfinite(value):
        return value
    exponent = max(math.floor(math.log2(abs(value))), -126)
    unit = 2.0 ** (exponent - 10)
    nearest = round(value / unit) * unit  # Python rounds ties to even
    return nearest if abs(nearest) <= _TF32.largest else math.copysign(math.inf, value)


def table() -> list[dict[str, str]]:
    """Return a row of text a format."""
    return [
        {
            "format": each.name,
            "bits": str(each.bits),
            "exponent": str(each.exponent_bits),
            "mantissa": str(each.mantissa_bits),
            "largest": f"{each.largest:.4g}",
            "smallest normal": f"{each.smallest_normal:.3g}",
            "spacing at 1": f"{each.spacing:.3g}",
            **{f"{value:g} becomes": f"{each.rounded(value):.7g}" for value in EXAMPLES},
        }
        for each in NUMBER_FORMATS
    ]
