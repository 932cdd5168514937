"""Gradient clipping by the global norm."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor


@torch.no_grad()
def gradient_norm(parameters: Iterable[Tensor]) -> Float[Tensor, ""]:
    """Return sqrt(Σ g²) over all gradients together, in float32; 0 without any."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.zeros(())
    norms = torch._foreach_norm([gradient.float() for gradient in gradients])
    return torch.linalg.vector_norm(torch.stack(list(norms)))


@torch.no_grad()
def clip_gradients(parameters: Iterable[Tensor], max_norm: float, epsilon: float = 1e-6) -> Float[Tensor, ""]:
    """Scale all gradients by max_norm / (norm + ε) where their common norm exceeds `max_norm` (Pascanu et al. 2013);
    returns the norm before. Equals `torch.nn.utils.clip_grad_norm_`.
    """
    held = list(parameters)
    norm = gradient_norm(held)
    gradients = [parameter.grad for parameter in held if parameter.grad is not None]
    if gradients:
        scale = (max_norm / (norm + epsilon)).clamp(max=1.0)
        if scale.is_cuda or scale != 1:  # to look at it would wait for a GPU
            torch._foreach_mul_(gradients, scale)
    return norm
