"""Compile-time arguments that several kernels share."""

from __future__ import annotations

import os
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
_TILE = 4_096
_ELEMENTS_PER_WARP, _MAX_WARPS = 512, 16


def wide(tensor: Tensor) -> Any:
    """Return the Triton type of sums over `tensor`: float64 for float64, float32 for the rest."""
    return tl.float64 if tensor.dtype == torch.float64 else tl.float32


def wide_dtype(*dtypes: torch.dtype) -> torch.dtype:
    """Return the torch type of sums over these types."""
    found = torch.float32
    for dtype in dtypes:
        found = torch.promote_types(found, dtype)
    return found


def rows_of(x: Tensor) -> Tensor:
    """Return `x` as `[rows width]` with elements of a row side by side; a view where the strides allow one, else a
    copy.
    """
    flat = x.reshape(-1, x.shape[-1])
    return flat if flat.stride(1) == 1 or flat.shape[1] == 1 else flat.contiguous()


def row_tile(width: int) -> tuple[int, int, int]:
    """Return rows a tile, columns a tile (a power of two), and warps: whole rows of about 4,096 elements together."""
    block = triton.next_power_of_2(width)
    rows = max(1, _TILE // block)
    num_warps = min(_MAX_WARPS, max(4, rows * block // _ELEMENTS_PER_WARP))
    return rows, block, num_warps
