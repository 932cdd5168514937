"""Matrix products in 8 bits with one scale a tensor (Micikevicius et al. 2022, arXiv:2209.05433).

    y = (Q(x) Q(W)ᵀ) / (s_x s_W),  Q(t) = round(t · s_t),  s_t = largest number of the format / max |t|

Inputs and weights are e4m3 (3 bits of mantissa, up to 448), gradients e5m2 (2 bits, up to 57,344). Sums are in float32.
Scales come from the tensors of this very step, without a history and without a host wait. All three products of a layer
run in 8 bits: y, the gradient to x and that to W. Embeddings, norms, attention, routers and the output layer do not.

`torch._scaled_mm` computes the products: on GPUs from compute capability 8.9 on, and on a CPU for tests.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from lm.errors import ConfigurationError
from lm.model.precision import autocast_type

FORWARD, BACKWARD = torch.float8_e4m3fn, torch.float8_e5m2
ALIGNMENT = 16
"""Sizes of the three products: tokens, inputs and outputs."""
_SMALLEST = 1e-12


def fp8_linear(
    x: Float[Tensor, "*axes d_in"], weight: Float[Tensor, "d_out d_in"], bias: Float[Tensor, " d_out"] | None = None
) -> Float[Tensor, "*axes d_out"]:
    """Compute x Wᵀ (+ b) in 8 bits; the result has the type of autocast, or that of `x`.

    Raises:
        ConfigurationError: a size that is not a multiple of 16.
    """
    rows = x.reshape(-1, x.shape[-1])
    for name, size in (("tokens", len(rows)), ("inputs", x.shape[-1]), ("outputs", len(weight))):
        if size % ALIGNMENT:
            raise ConfigurationError(f"fp8: {size} {name} of a matrix product, expected a multiple of {ALIGNMENT}")
    y: Tensor = _Product.apply(rows, weight, autocast_type(x) or x.dtype)
    y = y.view(*x.shape[:-1], len(weight))
    return y if bias is None else y + bias.to(y.dtype)


def fp8_linear_reference(x: Float[Tensor, "*axes d_in"], weight: Float[Tensor, "d_out d_in"]) -> Tensor:
    """Compute the forward from the rounded tensors, in float32; tests hold `fp8_linear` to it."""
    wide = [quantized.float() * inverse for quantized, inverse in (quantize(x, FORWARD), quantize(weight, FORWARD))]
    return F.linear(*wide)


def quantize(t: Tensor, dtype: torch.dtype) -> tuple[Tensor, Float[Tensor, ""]]:
    """Return `t` in 8 bits, and the inverse of its scale."""
    largest = torch.finfo(dtype).max
    scale = largest / t.detach().abs().amax().float().clamp(min=_SMALLEST)
    return (t.float() * scale).clamp(-largest, largest).to(dtype), scale.reciprocal()


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
        (x8, x_inverse), (w8, w_inverse) = quantize(x, FORWARD), quantize(weight, FORWARD)
        ctx.save_for_backward(x8, x_inverse, w8, w_inverse)
        ctx.types = x.dtype, weight.dtype
        return _times(x8, w8.t(), x_inverse, w_inverse, dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x8, x_inverse, w8, w_inverse = ctx.saved_tensors
        slope8, slope_inverse = quantize(gradients[0], BACKWARD)
        to_x = _times(slope8, _standing(w8), slope_inverse, w_inverse, ctx.types[0])
        to_weight = _times(slope8.t().contiguous(), _standing(x8), slope_inverse, x_inverse, ctx.types[1])
        return to_x, to_weight, None


def _standing(t: Tensor) -> Tensor:
    """Return the same matrix with its columns in order, which the product wants of its right side."""
    return t.t().contiguous().t()


def _times(left: Tensor, right: Tensor, left_inverse: Tensor, right_inverse: Tensor, dtype: torch.dtype) -> Tensor:
    found: Tensor = torch._scaled_mm(left, right, scale_a=left_inverse, scale_b=right_inverse, out_dtype=dtype)
    return found
