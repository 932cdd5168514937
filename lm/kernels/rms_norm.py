"""RMSNorm, with the addition to the residual stream fused where wanted.

    y = g · x / sqrt(mean(x²) + ε)    over the last axis (Zhang and Sennrich 2019, eq. 4, with ε inside the root)

The mean, the root and the division are in float32 (float64 for float64), and the result has the type of x unless
`dtype` says otherwise. On a CUDA device a Triton kernel reads and writes each vector once
(`lm.kernels.triton.rms_norm`); elsewhere the reference runs. `lm.kernels.backend` has the switch.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from lm.kernels.backend import runs_kernel, type_limits

MAX_WIDTH = 16_384


def rms_norm(
    x: Float[Tensor, "... d_model"],
    weight: Float[Tensor, " d_model"],
    epsilon: float = 1e-5,
    *,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "... d_model"]:
    """Scale each vector to a root mean square of 1, then by the gain `weight`; the result is in `dtype` or x's type."""
    if not runs_kernel("rms_norm", x, row_limits(x, None, weight), fuses=True):
        return rms_norm_reference(x, weight, epsilon, dtype=dtype)
    return torch.ops.loam.rms_norm(x, None, weight, epsilon, dtype or x.dtype)[0]


def add_rms_norm(
    x: Float[Tensor, "... d_model"],
    residual: Float[Tensor, "... d_model"],
    weight: Float[Tensor, " d_model"],
    epsilon: float = 1e-5,
    *,
    dtype: torch.dtype | None = None,
) -> tuple[Float[Tensor, "... d_model"], Float[Tensor, "... d_model"]]:
    """Compute `rms_norm(x + residual)` and the sum itself, the next residual; the sum has the wider of both types."""
    if not runs_kernel("rms_norm", x, row_limits(x, residual, weight), fuses=True):
        stream = x + residual
        return rms_norm_reference(stream, weight, epsilon, dtype=dtype), stream
    stream_type = torch.promote_types(x.dtype, residual.dtype)
    y, stream, _ = torch.ops.loam.rms_norm(x, residual, weight, epsilon, dtype or stream_type)
    return y, stream


def rms_norm_reference(
    x: Float[Tensor, "... d_model"],
    weight: Float[Tensor, " d_model"],
    epsilon: float = 1e-5,
    *,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "... d_model"]:
    """Compute the same by torch's operation, in float32 inside (float64 for float64)."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return F.rms_norm(wide, (x.shape[-1],), weight.to(wide.dtype), epsilon).to(dtype or x.dtype)


def row_limits(x: Tensor, residual: Tensor | None, *weights: Tensor) -> str:
    """Name what exceeds the limits of a norm's kernel: vectors too wide, shapes that differ, a type; else empty."""
    width = x.shape[-1]
    if not 1 <= width <= MAX_WIDTH:
        return f"vectors of {width}, expected 1 to {MAX_WIDTH:,}"
    if any(weight.shape != (width,) for weight in weights) or (residual is not None and residual.shape != x.shape):
        shapes = [list(t.shape) for t in (x, residual, *weights) if t is not None]
        return f"shapes {shapes}, expected equal vectors and one weight for each of their elements"
    return type_limits(x, residual, *weights)


@torch.library.custom_op(
    "loam::rms_norm",
    mutates_args=(),
    schema="(Tensor x, Tensor? residual, Tensor weight, float epsilon, ScalarType dtype) -> (Tensor, Tensor, Tensor)",
)
def _forward(
    x: Tensor, residual: Tensor | None, weight: Tensor, epsilon: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    from lm.kernels.triton import rms_norm as kernels

    return kernels.forward(x, residual, weight, epsilon, dtype)


@_forward.register_fake
def _forward_fake(
    x: Tensor, residual: Tensor | None, weight: Tensor, epsilon: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    stream_type = x.dtype if residual is None else torch.promote_types(x.dtype, residual.dtype)
    y = torch.empty(x.shape, dtype=dtype, device=x.device)
    stream = torch.empty(0 if residual is None else x.shape, dtype=stream_type, device=x.device)
    wide = torch.promote_types(stream_type, torch.float32)
    return y, stream, torch.empty(x.numel() // x.shape[-1], dtype=wide, device=x.device)


@torch.library.custom_op(
    "loam::rms_norm_backward",
    mutates_args=(),
    schema="(Tensor gradient, Tensor? stream_gradient, Tensor stream, Tensor weight, Tensor inverse) "
    "-> (Tensor, Tensor)",
)
def _backward(
    gradient: Tensor, stream_gradient: Tensor | None, stream: Tensor, weight: Tensor, inverse: Tensor
) -> tuple[Tensor, Tensor]:
    from lm.kernels.triton import rms_norm as kernels

    return kernels.backward(gradient, stream_gradient, stream, weight, inverse)


@_backward.register_fake
def _backward_fake(
    gradient: Tensor, stream_gradient: Tensor | None, stream: Tensor, weight: Tensor, inverse: Tensor
) -> tuple[Tensor, Tensor]:
    moved = torch.empty(stream.shape, dtype=stream.dtype, device=stream.device)
    return moved, torch.empty_like(weight)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    x, residual, weight, _, _ = inputs
    _, stream, inverse = output
    ctx.save_for_backward(x if residual is None else stream, weight, inverse)
    ctx.types = x.dtype, None if residual is None else residual.dtype
    ctx.set_materialize_grads(False)


def _gradients(ctx: Any, gradient: Tensor | None, stream_gradient: Tensor | None, _: Any) -> tuple[Tensor | None, ...]:
    stream, weight, inverse = ctx.saved_tensors
    x_type, residual_type = ctx.types
    passed = None if residual_type is None else stream_gradient
    if gradient is None:
        moved, weight_gradient = passed, None
    else:
        moved, weight_gradient = torch.ops.loam.rms_norm_backward(gradient, passed, stream, weight, inverse)
    if moved is None:
        return None, None, weight_gradient, None, None
    return moved.to(x_type), None if residual_type is None else moved.to(residual_type), weight_gradient, None, None


_forward.register_autograd(_gradients, setup_context=_save)
