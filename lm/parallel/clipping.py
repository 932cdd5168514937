"""Gradient clipping where each rank has a share of the gradients."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from lm.parallel.collectives import Group, sum_over_ranks


@torch.no_grad()
def clip_shared_gradients(
    parameters: Iterable[Tensor], max_norm: float, group: Group, epsilon: float = 1e-6
) -> Float[Tensor, ""]:
    """Scale the gradients by max_norm / (norm + ε) where their norm over all ranks exceeds `max_norm`; returns the
    norm before. Every element has its gradient on one rank.
    """
    held = list(parameters)
    gradients = [parameter.grad for parameter in held if parameter.grad is not None]
    squares = torch.zeros((), device=held[0].device)
    if gradients:
        squares = torch.stack(torch._foreach_norm([each.float() for each in gradients])).square().sum()
    norm = sum_over_ranks(squares, group).sqrt()
    if gradients:
        torch._foreach_mul_(gradients, (max_norm / (norm + epsilon)).clamp(max=1.0))
    return norm
