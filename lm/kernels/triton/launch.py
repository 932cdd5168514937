"""Compile-time arguments that several kernels share."""

from __future__ import annotations

import os
from typing import Any

import torch
import triton.language as tl
from torch import Tensor

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def wide(tensor: Tensor) -> Any:
    """The Triton type of sums over `tensor`: float64 for float64, float32 for the rest."""
    return tl.float64 if tensor.dtype == torch.float64 else tl.float32


def wide_dtype(*dtypes: torch.dtype) -> torch.dtype:
    """The torch type of sums over these types."""
    found = torch.float32
    for dtype in dtypes:
        found = torch.promote_types(found, dtype)
    return found


def rows_of(x: Tensor) -> Tensor:
    """`x` as `[rows width]` with elements of a row side by side; a view where the strides allow one, else a copy."""
    flat = x.reshape(-1, x.shape[-1])
    return flat if flat.stride(1) == 1 or flat.shape[1] == 1 else flat.contiguous()
