"""The loss of the next token, for any logits; the training loop's own, fused with the output layer, is
`lm.kernels.cross_entropy`.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lm.model.precision import widened


def cross_entropy(
    logits: Float[Tensor, "*axes vocab"], targets: Int[Tensor, "*axes"], mask: Bool[Tensor, "*axes"] | None = None
) -> Float[Tensor, ""]:
    """Return the mean of log Σ exp(logits) − logits[target], in nats, over the positions where `mask` is true (all
    without one).

    No true position gives 0.
    """
    losses = token_losses(logits, targets)
    if mask is None:
        return losses.mean()
    weights = mask.to(losses.dtype)
    return (losses * weights).sum() / weights.sum().clamp(min=1)


def token_losses(logits: Float[Tensor, "*axes vocab"], targets: Int[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Return −log p(target) of every position, in nats."""
    wide = widened(logits)
    chosen = wide.gather(-1, targets.long().unsqueeze(-1)).squeeze(-1)
    return torch.logsumexp(wide, dim=-1) - chosen
