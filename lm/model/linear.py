"""Linear maps and embeddings."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


def truncated_normal_(weight: Tensor, std: float) -> Tensor:
    """Fill with a normal distribution of deviation `std`, drawn again outside of 3 std."""
    return nn.init.trunc_normal_(weight, mean=0.0, std=std, a=-3 * std, b=3 * std)


def linear_std(d_in: int, d_out: int) -> float:
    """sqrt(2 / (d_in + d_out)): keeps the size of activations and of gradients (Glorot and Bengio 2010)."""
    return math.sqrt(2.0 / (d_in + d_out))


class Linear(nn.Module):
    """y = x Wᵀ (+ b); W is `[d_out d_in]`, truncated normal with variance 2 / (d_in + d_out), b starts at 0."""

    def __init__(self, d_in: int, d_out: int, bias: bool = False, *, std: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(d_out, d_in))
        self.bias = nn.Parameter(torch.zeros(d_out)) if bias else None
        truncated_normal_(self.weight, std or linear_std(d_in, d_out))

    def forward(self, x: Float[Tensor, "... d_in"]) -> Float[Tensor, "... d_out"]:
        """Multiply the last axis by the matrix."""
        return F.linear(x, self.weight, self.bias)


class Embedding(nn.Module):
    """The rows of a `[vocab d_model]` matrix by their ids; truncated normal with deviation `std`."""

    def __init__(self, vocab_size: int, d_model: int, std: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocab_size, d_model))
        truncated_normal_(self.weight, std)

    def forward(self, ids: Int[Tensor, ...]) -> Float[Tensor, "... d_model"]:
        """Look the ids up."""
        return F.embedding(ids, self.weight)
