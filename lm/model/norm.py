"""Normalization of the stream: RMSNorm or LayerNorm.

What a norm `gives`: the type of its `input`; that of the `products` after it, so that no product casts its input again;
or that of its `weights`, float32 whatever the stream. `add` joins the addition to the stream with the norm of the sum:
on a GPU one kernel, or torch's compiler.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lm.kernels.layer_norm import add_layer_norm, layer_norm
from lm.kernels.rms_norm import add_rms_norm, rms_norm
from lm.model.config import ModelConfig
from lm.model.precision import autocast_type, widened

Gives = Literal["input", "products", "weights"]


class RMSNorm(nn.Module):
    """y = g · x / sqrt(mean(x²) + ε) over the last axis (Zhang and Sennrich 2019, eq. 4, with ε inside the root as in
    Llama).

    Numerics: the mean, the root and the division are in float32, whatever the input (float64 stays); the result has the
    input's type.
    """

    def __init__(self, d_model: int, epsilon: float = 1e-5, *, gives: Gives = "input") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.epsilon, self.gives = epsilon, gives

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Scale each vector to a root mean square of 1, then by the learned gain."""
        return rms_norm(x, self.weight, self.epsilon, dtype=_result_type(self, x))

    def add(
        self, stream: Float[Tensor, "... d_model"], x: Float[Tensor, "... d_model"]
    ) -> tuple[Float[Tensor, "... d_model"], Float[Tensor, "... d_model"]]:
        """Return `stream + x` in the type of the stream, and the norm of it."""
        dtype = _result_type(self, stream)
        normed, total = add_rms_norm(_narrowed(x, stream), stream, self.weight, self.epsilon, dtype=dtype)
        return total, normed


def rms_norm_reference(
    x: Float[Tensor, "... d_model"], weight: Float[Tensor, " d_model"], epsilon: float = 1e-5
) -> Float[Tensor, "... d_model"]:
    """Compute `RMSNorm` by its formula, written out; tests hold the module to it."""
    wide = widened(x)
    inverse = torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + epsilon)
    return (wide * inverse * weight.to(wide.dtype)).to(x.dtype)


class LayerNorm(nn.Module):
    """y = g · (x − mean) / sqrt(var + ε) + b over the last axis (Ba et al. 2016); in float32 inside, as `RMSNorm`."""

    def __init__(self, d_model: int, epsilon: float = 1e-5, *, gives: Gives = "input") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))
        self.epsilon, self.gives = epsilon, gives

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Shift and scale each vector to mean 0 and variance 1, then by the learned gain and bias."""
        return layer_norm(x, self.weight, self.bias, self.epsilon, dtype=_result_type(self, x))

    def add(
        self, stream: Float[Tensor, "... d_model"], x: Float[Tensor, "... d_model"]
    ) -> tuple[Float[Tensor, "... d_model"], Float[Tensor, "... d_model"]]:
        """Return `stream + x` in the type of the stream, and the norm of it."""
        dtype = _result_type(self, stream)
        normed, total = add_layer_norm(_narrowed(x, stream), stream, self.weight, self.bias, self.epsilon, dtype=dtype)
        return total, normed


def added(stream: Float[Tensor, "*axes"], x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Return the sum in the type of the stream."""
    return stream + x.to(stream.dtype)


def _narrowed(x: Tensor, stream: Tensor) -> Tensor:
    """Return x in the type of the stream where it is the wider one: a sum never widens the stream."""
    return x.to(stream.dtype) if x.element_size() > stream.element_size() else x


def _result_type(norm: RMSNorm | LayerNorm, x: Tensor) -> torch.dtype:
    if norm.gives == "input":
        return x.dtype
    return (autocast_type(x) if norm.gives == "products" else None) or norm.weight.dtype


def layer_norm_reference(
    x: Float[Tensor, "... d_model"],
    weight: Float[Tensor, " d_model"],
    bias: Float[Tensor, " d_model"],
    epsilon: float = 1e-5,
) -> Float[Tensor, "... d_model"]:
    """Compute `LayerNorm` by its formula, written out; tests hold the module to it."""
    wide = widened(x)
    centered = wide - wide.mean(dim=-1, keepdim=True)
    inverse = torch.rsqrt(centered.square().mean(dim=-1, keepdim=True) + epsilon)
    return (centered * inverse * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)


def make_norm(config: ModelConfig, size: int, *, gives: Gives = "input") -> RMSNorm | LayerNorm:
    """Return the norm that the configuration names, over vectors of `size`."""
    kind = RMSNorm if config.norm == "rms" else LayerNorm
    return kind(size, config.norm_epsilon, gives=gives)
