"""LayerNorm on a GPU: one read and one write of each vector in both directions.

Decisions, beside those of `lm.kernels.triton.rms_norm`, whose tiles and parts these kernels share:
- The row stays in registers through mean, variance and division. The variance is that of the centered row, so a large
  mean costs no digits.
- The backward has one part for the gain and one for the bias in each program, so at rows above 8,192 elements four
  programs take a quarter each; two would spill registers.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from lm.kernels.triton.launch import row_tile, rows_of, wide, wide_dtype
from lm.kernels.triton.rms_norm import NUM_PARTS, WIDEST_TILE


def forward(
    x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor, epsilon: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the normalized vectors in `dtype`, the sum x + residual (empty without a residual), and of each row the
    mean and 1 / deviation.
    """
    flat, other = rows_of(x), None if residual is None else rows_of(residual)
    num_rows, width = flat.shape
    y = torch.empty(x.shape, dtype=dtype, device=x.device)
    stream_type = x.dtype if residual is None else torch.promote_types(x.dtype, residual.dtype)
    stream = torch.empty(0 if residual is None else x.shape, dtype=stream_type, device=x.device)
    mean, inverse = (torch.empty(num_rows, dtype=wide_dtype(stream_type), device=x.device) for _ in range(2))
    rows, block, num_warps = row_tile(width)
    if num_rows:
        _forward[(triton.cdiv(num_rows, rows),)](
            flat, other, weight, bias, y, stream, mean, inverse, num_rows, width, flat.stride(0),
            0 if other is None else other.stride(0), epsilon,
            HAS_RESIDUAL=other is not None, ROWS=rows, BLOCK=block, WIDE=wide(inverse), num_warps=num_warps,
        )  # fmt: skip
    return y, stream, mean, inverse


def backward(
    gradient: Tensor, stream_gradient: Tensor | None, stream: Tensor, weight: Tensor, mean: Tensor, inverse: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients to the stream, to the gain and to the bias."""
    flat, slope = rows_of(stream), rows_of(gradient)
    passed = None if stream_gradient is None else rows_of(stream_gradient)
    num_rows, width = flat.shape
    moved = torch.empty(stream.shape, dtype=stream.dtype, device=stream.device)
    rows, block, num_warps = row_tile(width)
    num_parts = min(NUM_PARTS, triton.cdiv(num_rows, rows))
    parts = torch.empty(2, num_parts, width, dtype=inverse.dtype, device=stream.device)
    pieces = 4 if block > WIDEST_TILE else 1
    if num_rows:
        _backward[(num_parts, pieces)](
            slope, passed, flat, weight, mean, inverse, moved, parts[0], parts[1], num_rows, width,
            slope.stride(0), 0 if passed is None else passed.stride(0), flat.stride(0),
            HAS_STREAM_GRADIENT=passed is not None, PIECES=pieces, ROWS=rows, BLOCK=block // pieces,
            WIDE=wide(inverse), STAGES=2 if pieces == 1 else 1, num_warps=num_warps,
        )  # fmt: skip
    return moved, parts[0].sum(0).to(weight.dtype), parts[1].sum(0).to(weight.dtype)


@triton.jit
def _forward(
    x_ptr,
    residual_ptr,
    weight_ptr,
    bias_ptr,
    y_ptr,
    stream_ptr,
    mean_ptr,
    inverse_ptr,
    num_rows,
    width,
    x_stride,
    residual_stride,
    epsilon,
    HAS_RESIDUAL: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
):
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, BLOCK)
    inside = (rows < num_rows)[:, None] & (columns < width)[None, :]
    place = rows[:, None] * width + columns[None, :]
    x = tl.load(x_ptr + rows[:, None] * x_stride + columns[None, :], mask=inside, other=0.0).to(WIDE)
    if HAS_RESIDUAL:
        other = rows[:, None] * residual_stride + columns[None, :]
        x += tl.load(residual_ptr + other, mask=inside, other=0.0).to(WIDE)
        stored = x.to(stream_ptr.dtype.element_ty)
        tl.store(stream_ptr + place, stored, mask=inside)
        x = stored.to(WIDE)
    mean = tl.sum(x, axis=1) / width
    centered = tl.where(inside, x - mean[:, None], 0.0)
    inverse = tl.rsqrt(tl.sum(centered * centered, axis=1) / width + epsilon)
    weight = tl.load(weight_ptr + columns, mask=columns < width, other=0.0).to(WIDE)
    bias = tl.load(bias_ptr + columns, mask=columns < width, other=0.0).to(WIDE)
    y = centered * inverse[:, None] * weight[None, :] + bias[None, :]
    tl.store(y_ptr + place, y.to(y_ptr.dtype.element_ty), mask=inside)
    tl.store(mean_ptr + rows, mean, mask=rows < num_rows)
    tl.store(inverse_ptr + rows, inverse, mask=rows < num_rows)


@triton.jit
def _backward(
    gradient_ptr,
    stream_gradient_ptr,
    x_ptr,
    weight_ptr,
    mean_ptr,
    inverse_ptr,
    moved_ptr,
    gain_parts_ptr,
    bias_parts_ptr,
    num_rows,
    width,
    gradient_stride,
    stream_gradient_stride,
    x_stride,
    HAS_STREAM_GRADIENT: tl.constexpr,
    PIECES: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
    STAGES: tl.constexpr,
):
    part, piece = tl.program_id(0), tl.program_id(1)
    columns = piece * BLOCK + tl.arange(0, BLOCK)
    gain_total = tl.zeros((ROWS, BLOCK), WIDE)
    bias_total = tl.zeros((ROWS, BLOCK), WIDE)
    for tile in tl.range(part, tl.cdiv(num_rows, ROWS), tl.num_programs(0), num_stages=STAGES):
        rows = (tile * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
        inside = (rows < num_rows) & (columns < width)[None, :]
        mean = tl.load(mean_ptr + rows, mask=rows < num_rows, other=0.0)
        inverse = tl.load(inverse_ptr + rows, mask=rows < num_rows, other=0.0)
        slopes, xs = gradient_ptr + rows * gradient_stride, x_ptr + rows * x_stride
        along = tl.zeros((ROWS,), WIDE)
        level = tl.zeros((ROWS,), WIDE)
        for other in tl.static_range(1, PIECES):
            others = (piece + other) % PIECES * BLOCK + tl.arange(0, BLOCK)
            there = (rows < num_rows) & (others < width)[None, :]
            slope = tl.load(slopes + others[None, :], mask=there, other=0.0).to(WIDE)
            slope *= tl.load(weight_ptr + others, mask=others < width, other=0.0).to(WIDE)[None, :]
            level += tl.sum(slope, axis=1)
            unit = (tl.load(xs + others[None, :], mask=there, other=0.0).to(WIDE) - mean) * inverse
            along += tl.sum(slope * unit, axis=1)
        # Outside of the row the unit is not 0, but each of its products has a slope that is.
        unit = (tl.load(xs + columns[None, :], mask=inside, other=0.0).to(WIDE) - mean) * inverse
        slope = tl.load(slopes + columns[None, :], mask=inside, other=0.0).to(WIDE)
        gain_total += slope * unit
        bias_total += slope
        # Loaded again for each row: the weight stays in the cache, and registers are scarce.
        slope *= tl.load(weight_ptr + columns, mask=columns < width, other=0.0).to(WIDE)[None, :]
        level += tl.sum(slope, axis=1)
        along += tl.sum(slope * unit, axis=1)
        moved = inverse * (slope - (level / width)[:, None] - unit * (along / width)[:, None])
        if HAS_STREAM_GRADIENT:
            place = rows * stream_gradient_stride + columns[None, :]
            moved += tl.load(stream_gradient_ptr + place, mask=inside, other=0.0).to(WIDE)
        place = rows * width + columns[None, :]
        tl.store(moved_ptr + place, moved.to(moved_ptr.dtype.element_ty), mask=inside)
    place = part.to(tl.int64) * width + columns
    tl.store(gain_parts_ptr + place, tl.sum(gain_total, axis=0), mask=columns < width)
    tl.store(bias_parts_ptr + place, tl.sum(bias_total, axis=0), mask=columns < width)
