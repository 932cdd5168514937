"""The feed-forward layer: gated (SwiGLU, GeGLU), or plain (ReLU², SiLU, GELU)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lm.kernels.backend import takes_gpu_path
from lm.kernels.swiglu import swiglu
from lm.model.config import ModelConfig
from lm.model.linear import Linear, joined_linear


def silu(x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Return x · σ(x), written out; the fast path calls torch's kernel."""
    return x * torch.sigmoid(x)


def relu_squared(x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Return max(x, 0)² (So et al. 2021)."""
    return F.relu(x).square()


def activation(ffn: str, x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Return `x` after the nonlinearity of a feed-forward layer, by the layer's name.

    GELU is x Φ(x) in `geglu`, and in `gelu` its approximation by tanh, the one that GPT-2 was trained with (Hendrycks
    and Gimpel 2016).
    """
    if ffn == "relu2":
        return relu_squared(x)
    if ffn in ("gelu", "geglu"):
        return F.gelu(x, approximate="tanh" if ffn == "gelu" else "none")
    return F.silu(x)


def gated(ffn: str, gate_up: Float[Tensor, "*axes both"]) -> Float[Tensor, "*axes d_ff"]:
    """Return the activation of the first half of the last axis, times the second half."""
    if ffn == "swiglu":
        return swiglu(gate_up)
    gate, up = gate_up.chunk(2, dim=-1)
    return activation(ffn, gate) * up


class GatedMLP(nn.Module):
    """W₂ (f(W₁ x) ⊙ W₃ x) (Shazeer 2020, eq. 6), f the activation of `ffn`."""

    ffn = "swiglu"

    def __init__(self, d_model: int, d_ff: int, bias: bool = False) -> None:
        super().__init__()
        self.w1 = Linear(d_model, d_ff, bias)
        self.w2 = Linear(d_ff, d_model, bias)
        self.w3 = Linear(d_model, d_ff, bias)

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Gate, multiply, project back."""
        if not takes_gpu_path(x):
            return self.w2(activation(self.ffn, self.w1(x)) * self.w3(x))
        return self.w2(gated(self.ffn, joined_linear(x, (self.w1, self.w3))[0]))


class SwiGLU(GatedMLP):
    """W₂ (silu(W₁ x) ⊙ W₃ x)."""


class GeGLU(GatedMLP):
    """W₂ (gelu(W₁ x) ⊙ W₃ x)."""

    ffn = "geglu"


class PlainMLP(nn.Module):
    """W₂ f(W₁ x): two matrices and the activation of `ffn` between them."""

    def __init__(self, d_model: int, d_ff: int, ffn: str = "silu", bias: bool = False) -> None:
        super().__init__()
        self.ffn = ffn
        self.w1 = Linear(d_model, d_ff, bias)
        self.w2 = Linear(d_ff, d_model, bias)

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Widen, apply the activation, project back."""
        return self.w2(activation(self.ffn, self.w1(x)))


def make_mlp(config: ModelConfig) -> nn.Module:
    """Return the single feed-forward layer that the configuration names."""
    if config.is_gated:
        return (SwiGLU if config.ffn == "swiglu" else GeGLU)(config.d_model, config.d_ff, config.bias)
    return PlainMLP(config.d_model, config.d_ff, config.ffn, config.bias)
