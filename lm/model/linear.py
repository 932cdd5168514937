"""Linear maps and embeddings.

Maps of one input (queries, keys and values; gate and up) are one product on a GPU: their weights stay apart in the
state, in checkpoints and for Muon, and are joined while they are cast to the type of the product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lm.errors import ConfigurationError
from lm.kernels.fp8 import fp8_linear
from lm.model.precision import autocast_type


def truncated_normal_(weight: Tensor, std: float) -> Tensor:
    """Fill with a normal distribution of deviation `std`, drawn again outside of 3 std."""
    return nn.init.trunc_normal_(weight, mean=0.0, std=std, a=-3 * std, b=3 * std)


def linear_std(d_in: int, d_out: int) -> float:
    """Return sqrt(2 / (d_in + d_out)): keeps the size of activations and of gradients (Glorot and Bengio 2010)."""
    return math.sqrt(2.0 / (d_in + d_out))


class Linear(nn.Module):
    """y = x Wᵀ (+ b); W is `[d_out d_in]`, truncated normal with variance 2 / (d_in + d_out), b starts at 0.

    With `fp8` the products run in 8 bits where gradients are wanted (`lm.kernels.fp8`); a run sets it.
    """

    fp8 = False

    def __init__(self, d_in: int, d_out: int, bias: bool = False, *, std: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(d_out, d_in))
        self.bias = nn.Parameter(torch.zeros(d_out)) if bias else None
        truncated_normal_(self.weight, std or linear_std(d_in, d_out))

    def forward(self, x: Float[Tensor, "... d_in"]) -> Float[Tensor, "... d_out"]:
        """Multiply the last axis by the matrix."""
        return product(x, self.weight, self.bias, fp8=self.fp8)


def product(x: Tensor, weight: Tensor, bias: Tensor | None, *, fp8: bool) -> Tensor:
    """Return x Wᵀ (+ b), in 8 bits where `fp8` is set and gradients are wanted."""
    if fp8 and torch.is_grad_enabled():
        return fp8_linear(x, weight, bias)
    return F.linear(x, weight, bias)


def joined_linear(
    x: Float[Tensor, "... d_in"], maps: Sequence[Linear]
) -> tuple[Float[Tensor, "... joined"], list[int]]:
    """Compute several maps of one input by one product; returns it and the number of outputs of each map."""
    dtype = autocast_type(x) or x.dtype
    weights = [part.weight.to(dtype) for part in maps]
    biases = [part.bias.to(dtype) for part in maps if part.bias is not None]
    if biases and len(biases) < len(maps):
        raise ConfigurationError("joined_linear: a bias in some maps only, expected one in all or in none")
    weight, bias = _side_by_side(weights), torch.cat(biases) if biases else None
    joined = product(x, weight, bias, fp8=all(part.fp8 for part in maps))
    return joined, [len(weight) for weight in weights]


def _side_by_side(weights: list[Tensor]) -> Tensor:
    """Return the weights as one matrix: a view where decoding has laid them one behind the other, else a copy."""
    if not torch.compiler.is_compiling() and not torch.is_grad_enabled():
        first, place = weights[0], weights[0].storage_offset()
        storage = first.untyped_storage().data_ptr()
        for weight in weights:
            if weight.untyped_storage().data_ptr() != storage or weight.storage_offset() != place:
                return torch.cat(weights)
            place += weight.numel()
        return first.as_strided((sum(map(len, weights)), first.shape[1]), (first.shape[1], 1))
    return torch.cat(weights)


class Embedding(nn.Module):
    """The rows of a `[vocab d_model]` matrix by their ids; truncated normal with deviation `std`."""

    def __init__(self, vocab_size: int, d_model: int, std: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocab_size, d_model))
        truncated_normal_(self.weight, std)

    def forward(self, ids: Int[Tensor, ...]) -> Float[Tensor, "... d_model"]:
        """Look the ids up."""
        return F.embedding(ids, self.weight)
