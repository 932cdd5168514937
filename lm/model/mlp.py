"""The feed-forward layer: SwiGLU."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lm.model.linear import Linear


def silu(x: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """x · σ(x), written out; the fast path calls torch's kernel."""
    return x * torch.sigmoid(x)


class SwiGLU(nn.Module):
    """W₂ (silu(W₁ x) ⊙ W₃ x) (Shazeer 2020, eq. 6, without biases)."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.w1 = Linear(d_model, d_ff)
        self.w2 = Linear(d_ff, d_model)
        self.w3 = Linear(d_model, d_ff)

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Gate, multiply, project back."""
        return self.w2(F.silu(self.w1(x)) * self.w3(x))
