"""Normalization of the stream: RMSNorm or LayerNorm."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lm.kernels.rms_norm import rms_norm
from lm.model.config import ModelConfig
from lm.model.precision import widened


class RMSNorm(nn.Module):
    """y = g · x / sqrt(mean(x²) + ε) over the last axis (Zhang and Sennrich 2019, eq. 4, with ε inside the root as in
    Llama).

    Numerics: the mean, the root and the division are in float32, whatever the input (float64 stays); the result has the
    input's type.
    """

    def __init__(self, d_model: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.epsilon = epsilon

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Scale each vector to a root mean square of 1, then by the learned gain."""
        return rms_norm(x, self.weight, self.epsilon)


def rms_norm_reference(
    x: Float[Tensor, "... d_model"], weight: Float[Tensor, " d_model"], epsilon: float = 1e-5
) -> Float[Tensor, "... d_model"]:
    """The formula of `RMSNorm` written out; tests hold the module to it."""
    wide = widened(x)
    inverse = torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + epsilon)
    return (wide * inverse * weight.to(wide.dtype)).to(x.dtype)


class LayerNorm(nn.Module):
    """y = g · (x − mean) / sqrt(var + ε) + b over the last axis (Ba et al. 2016); in float32 inside, as `RMSNorm`."""

    def __init__(self, d_model: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))
        self.epsilon = epsilon

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Shift and scale each vector to mean 0 and variance 1, then by the learned gain and bias."""
        wide = widened(x)
        gain, bias = self.weight.to(wide.dtype), self.bias.to(wide.dtype)
        return F.layer_norm(wide, (x.shape[-1],), gain, bias, self.epsilon).to(x.dtype)


def layer_norm_reference(
    x: Float[Tensor, "... d_model"],
    weight: Float[Tensor, " d_model"],
    bias: Float[Tensor, " d_model"],
    epsilon: float = 1e-5,
) -> Float[Tensor, "... d_model"]:
    """The formula of `LayerNorm` written out; tests hold the module to it."""
    wide = widened(x)
    centered = wide - wide.mean(dim=-1, keepdim=True)
    inverse = torch.rsqrt(centered.square().mean(dim=-1, keepdim=True) + epsilon)
    return (centered * inverse * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)


def make_norm(config: ModelConfig, size: int) -> nn.Module:
    """The norm that the configuration names, over vectors of `size`."""
    kind = RMSNorm if config.norm == "rms" else LayerNorm
    return kind(size, config.norm_epsilon)
