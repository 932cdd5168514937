"""Masked means and sums: reductions of per-token losses."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from lm.model.precision import widened


def masked_sum(
    x: Float[Tensor, "*axes"], mask: Bool[Tensor, "*axes"], dim: int | None = None
) -> Float[Tensor, "*kept"]:
    """Return Σ x over the places where `mask` is true, along `dim` or over everything; at least float32.

    What lies outside of the mask counts as 0 whatever its value, infinities and NaN included, and gets no gradient.
    """
    kept = widened(x).masked_fill(~mask.bool(), 0.0)
    return kept.sum() if dim is None else kept.sum(dim=dim)


def masked_mean(
    x: Float[Tensor, "*axes"], mask: Bool[Tensor, "*axes"], dim: int | None = None
) -> Float[Tensor, "*kept"]:
    """Return Σ x · mask / Σ mask, along `dim` or over everything; NaN where no place is true."""
    count = mask.bool().sum() if dim is None else mask.bool().sum(dim=dim)
    return masked_sum(x, mask, dim) / count


def masked_normalize(
    x: Float[Tensor, "*axes"], mask: Bool[Tensor, "*axes"], constant: float, dim: int | None = None
) -> Float[Tensor, "*kept"]:
    """Return Σ x · mask / `constant`, along `dim` or over everything.

    A constant that is the same for every microbatch, such as the batch's number of tokens, gives sums that add up to
    those of the whole batch; a mean gives each microbatch the same weight, however few tokens it has.
    """
    return masked_sum(x, mask, dim) / constant
