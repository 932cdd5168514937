"""RMSNorm on a GPU: one read and one write of each vector in both directions.

Decisions:
- A program of the forward takes a tile of whole rows, 4,096 elements or one row; the row stays in registers between the
  sum of squares and the division.
- A program of the backward walks over tiles and sums its part of the weight's gradient in registers. It writes the part
  once; the parts are added by `torch.sum`. The number of programs is fixed, so the bits do not depend on the GPU.
- Rows above 8,192 elements leave too few registers for that. Two programs take a half each, and both read the whole
  row, the second time from the cache.
- The root mean square comes from the stream as it is stored, so the backward repeats it exactly.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from lm.kernels.triton.launch import row_tile, rows_of, wide, wide_dtype

NUM_PARTS = 264  # two programs for each of an H100's 132 multiprocessors
WIDEST_TILE = 8_192


def forward(
    x: Tensor, residual: Tensor | None, weight: Tensor, epsilon: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the normalized vectors in `dtype`, the sum x + residual (empty without a residual), and 1 / rms of each
    row.
    """
    flat, other = rows_of(x), None if residual is None else rows_of(residual)
    num_rows, width = flat.shape
    y = torch.empty(x.shape, dtype=dtype, device=x.device)
    stream_type = x.dtype if residual is None else torch.promote_types(x.dtype, residual.dtype)
    stream = torch.empty(0 if residual is None else x.shape, dtype=stream_type, device=x.device)
    inverse = torch.empty(num_rows, dtype=wide_dtype(stream_type), device=x.device)
    rows, block, num_warps = row_tile(width)
    if num_rows:
        _forward[(triton.cdiv(num_rows, rows),)](
            flat, other, weight, y, stream, inverse, num_rows, width, flat.stride(0),
            0 if other is None else other.stride(0), epsilon,
            HAS_RESIDUAL=other is not None, ROWS=rows, BLOCK=block, WIDE=wide(inverse), num_warps=num_warps,
        )  # fmt: skip
    return y, stream, inverse


def backward(
    gradient: Tensor, stream_gradient: Tensor | None, stream: Tensor, weight: Tensor, inverse: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients to the stream and to the weight."""
    flat, slope = rows_of(stream), rows_of(gradient)
    passed = None if stream_gradient is None else rows_of(stream_gradient)
    num_rows, width = flat.shape
    moved = torch.empty(stream.shape, dtype=stream.dtype, device=stream.device)
    rows, block, num_warps = row_tile(width)
    num_parts = min(NUM_PARTS, triton.cdiv(num_rows, rows))
    parts = torch.empty(num_parts, width, dtype=inverse.dtype, device=stream.device)
    halves = 2 if block > WIDEST_TILE else 1
    if num_rows:
        _backward[(num_parts, halves)](
            slope, passed, flat, weight, inverse, moved, parts, num_rows, width,
            slope.stride(0), 0 if passed is None else passed.stride(0), flat.stride(0),
            HAS_STREAM_GRADIENT=passed is not None, HALVES=halves, ROWS=rows, BLOCK=block // halves,
            WIDE=wide(inverse), STAGES=2 if halves == 1 else 1, num_warps=num_warps,
        )  # fmt: skip
    return moved, parts.sum(0).to(weight.dtype)


@triton.jit
def _forward(
    x_ptr,
    residual_ptr,
    weight_ptr,
    y_ptr,
    stream_ptr,
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
    inverse = tl.rsqrt(tl.sum(x * x, axis=1) / width + epsilon)
    weight = tl.load(weight_ptr + columns, mask=columns < width, other=0.0).to(WIDE)
    y = x * inverse[:, None] * weight[None, :]
    tl.store(y_ptr + place, y.to(y_ptr.dtype.element_ty), mask=inside)
    tl.store(inverse_ptr + rows, inverse, mask=rows < num_rows)


@triton.jit
def _backward(
    gradient_ptr,
    stream_gradient_ptr,
    x_ptr,
    weight_ptr,
    inverse_ptr,
    moved_ptr,
    parts_ptr,
    num_rows,
    width,
    gradient_stride,
    stream_gradient_stride,
    x_stride,
    HAS_STREAM_GRADIENT: tl.constexpr,
    HALVES: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
    STAGES: tl.constexpr,
):
    part, half = tl.program_id(0), tl.program_id(1)
    columns = half * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((ROWS, BLOCK), WIDE)
    for tile in tl.range(part, tl.cdiv(num_rows, ROWS), tl.num_programs(0), num_stages=STAGES):
        rows = (tile * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
        inside = (rows < num_rows) & (columns < width)[None, :]
        inverse = tl.load(inverse_ptr + rows, mask=rows < num_rows, other=0.0)
        slopes, xs = gradient_ptr + rows * gradient_stride, x_ptr + rows * x_stride
        along = tl.zeros((ROWS,), WIDE)
        if HALVES == 2:
            others = (1 - half) * BLOCK + tl.arange(0, BLOCK)
            unit = tl.load(xs + others[None, :], mask=(rows < num_rows) & (others < width)[None, :], other=0.0).to(WIDE)
            unit *= tl.load(slopes + others[None, :], mask=(others < width)[None, :], other=0.0).to(WIDE)
            unit *= tl.load(weight_ptr + others, mask=others < width, other=0.0).to(WIDE)[None, :] * inverse
            along += tl.sum(unit, axis=1)
        unit = tl.load(xs + columns[None, :], mask=inside, other=0.0).to(WIDE) * inverse
        slope = tl.load(slopes + columns[None, :], mask=inside, other=0.0).to(WIDE)
        total += slope * unit
        # Loaded again for each row: the weight stays in the cache, and registers are scarce.
        slope *= tl.load(weight_ptr + columns, mask=columns < width, other=0.0).to(WIDE)[None, :]
        along += tl.sum(slope * unit, axis=1)
        moved = inverse * (slope - unit * (along / width)[:, None])
        if HAS_STREAM_GRADIENT:
            place = rows * stream_gradient_stride + columns[None, :]
            moved += tl.load(stream_gradient_ptr + place, mask=inside, other=0.0).to(WIDE)
        place = rows * width + columns[None, :]
        tl.store(moved_ptr + place, moved.to(moved_ptr.dtype.element_ty), mask=inside)
    tl.store(parts_ptr + part.to(tl.int64) * width + columns, tl.sum(total, axis=0), mask=columns < width)
