"""LayerNorm, with the addition to the residual stream fused where wanted.

    y = g · (x − mean(x)) / sqrt(var(x) + ε) + b    over the last axis (Ba et al. 2016, eq. 4, with ε inside the root)

Mean, variance and division are in float32 (float64 for float64), and the result has the type of x unless `dtype` says
otherwise. On a CUDA device a Triton kernel reads and writes each vector once (`lm.kernels.triton.layer_norm`);
elsewhere the reference runs. `lm.kernels.backend` has the switch.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from lm.kernels.backend import runs_kernel
from lm.kernels.rms_norm import row_limits


def layer_norm(
    x: Float[Tensor, "... d_model"],
    weight: Float[Tensor, " d_model"],
    bias: Float[Tensor, " d_model"],
    epsilon: float = 1e-5,
    *,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "... d_model"]:
    """Shift and scale each vector to mean 0 and variance 1, then by gain and bias; in `dtype` or x's type."""
    if not runs_kernel("layer_norm", x, row_limits(x, None, weight, bias), fuses=True):
        return layer_norm_reference(x, weight, bias, epsilon, dtype=dtype)
    return torch.ops.loam.layer_norm(x, None, weight, bias, epsilon, dtype or x.dtype)[0]


def add_layer_norm(
    x: Float[Tensor, "... d_model"],
    residual: Float[Tensor, "... d_model"],
    weight: Float[Tensor, " d_model"],
    bias: Float[Tensor, " d_model"],
    epsilon: float = 1e-5,
    *,
    dtype: torch.dtype | None = None,
) -> tuple[Float[Tensor, "... d_model"], Float[Tensor, "... d_model"]]:
    """Compute `layer_norm(x + residual)` and the sum itself, the next residual; the sum has the wider of both types."""
    if not runs_kernel("layer_norm", x, row_limits(x, residual, weight, bias), fuses=True):
        stream = x + residual
        return layer_norm_reference(stream, weight, bias, epsilon, dtype=dtype), stream
    stream_type = torch.promote_types(x.dtype, residual.dtype)
    y, stream, _, _ = torch.ops.loam.layer_norm(x, residual, weight, bias, epsilon, dtype or stream_type)
    return y, stream


def layer_norm_reference(
    x: Float[Tensor, "... d_model"],
    weight: Float[Tensor, " d_model"],
    bias: Float[Tensor, " d_model"],
    epsilon: float = 1e-5,
    *,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "... d_model"]:
    """Compute the same by torch's operation, in float32 inside (float64 for float64)."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    y = F.layer_norm(wide, (x.shape[-1],), weight.to(wide.dtype), bias.to(wide.dtype), epsilon)
    return y.to(dtype or x.dtype)


@torch.library.custom_op(
    "loam::layer_norm",
    mutates_args=(),
    schema="(Tensor x, Tensor? residual, Tensor weight, Tensor bias, float epsilon, ScalarType dtype) "
    "-> (Tensor, Tensor, Tensor, Tensor)",
)
def _forward(
    x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor, epsilon: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    from lm.kernels.triton import layer_norm as kernels

    return kernels.forward(x, residual, weight, bias, epsilon, dtype)


@_forward.register_fake
def _forward_fake(
    x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor, epsilon: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    stream_type = x.dtype if residual is None else torch.promote_types(x.dtype, residual.dtype)
    y = torch.empty(x.shape, dtype=dtype, device=x.device)
    stream = torch.empty(0 if residual is None else x.shape, dtype=stream_type, device=x.device)
    wide, num_rows = torch.promote_types(stream_type, torch.float32), x.numel() // x.shape[-1]
    mean, inverse = (torch.empty(num_rows, dtype=wide, device=x.device) for _ in range(2))
    return y, stream, mean, inverse


@torch.library.custom_op(
    "loam::layer_norm_backward",
    mutates_args=(),
    schema="(Tensor gradient, Tensor? stream_gradient, Tensor stream, Tensor weight, Tensor mean, Tensor inverse) "
    "-> (Tensor, Tensor, Tensor)",
)
def _backward(
    gradient: Tensor, stream_gradient: Tensor | None, stream: Tensor, weight: Tensor, mean: Tensor, inverse: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    from lm.kernels.triton import layer_norm as kernels

    return kernels.backward(gradient, stream_gradient, stream, weight, mean, inverse)


@_backward.register_fake
def _backward_fake(
    gradient: Tensor, stream_gradient: Tensor | None, stream: Tensor, weight: Tensor, mean: Tensor, inverse: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    moved = torch.empty(stream.shape, dtype=stream.dtype, device=stream.device)
    return moved, torch.empty_like(weight), torch.empty_like(weight)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, residual, weight, bias, _, _ = inputs
    _, stream, mean, inverse = output
    ctx.save_for_backward(x if residual is None else stream, weight, mean, inverse)
    ctx.types = x.dtype, None if residual is None else residual.dtype, bias.dtype
    ctx.set_materialize_grads(False)


def _gradients(
    ctx: Any, gradient: Tensor | None, stream_gradient: Tensor | None, *_: Tensor | None
) -> tuple[Tensor | None, ...]:
    stream, weight, mean, inverse = ctx.saved_tensors
    x_type, residual_type, bias_type = ctx.types
    moved = None if residual_type is None else stream_gradient
    gain = bias = None
    if gradient is not None:
        moved, gain, bias = torch.ops.loam.layer_norm_backward(gradient, moved, stream, weight, mean, inverse)
        bias = bias.to(bias_type)
    to_x = None if moved is None else moved.to(x_type)
    to_residual = None if moved is None or residual_type is None else moved.to(residual_type)
    return to_x, to_residual, gain, bias, None, None


_forward.register_autograd(_gradients, setup_context=_save)
