"""AdamW, gradient clipping, and which weights decay.

Decoupled decay (Loshchilov and Hutter 2019) shrinks a weight by lr · λ a step, apart from the gradient. The paper's
algorithm 2 adds the two changes at once; torch shrinks first and then moves, and so does this one: it equals
`torch.optim.AdamW`. The orders differ by lr² λ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lm.errors import ConfigurationError


class AdamW(torch.optim.Optimizer):
    """Adam with decoupled weight decay.

    m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  θ ← θ (1 − lr λ) − lr · m̂ / (sqrt(v̂) + ε),  m̂ = m / (1 − β₁ᵗ),
    v̂ = v / (1 − β₂ᵗ)

    State of a parameter: `step`, `exp_avg` (m), `exp_avg_sq` (v). All parameters of a group move in one batch of fused
    operations.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        if lr < 0 or eps < 0 or weight_decay < 0 or not all(0 <= beta < 1 for beta in betas):
            raise ConfigurationError(
                f"AdamW: lr={lr}, betas={betas}, eps={eps}, weight_decay={weight_decay}; "
                "expected values of at least 0, and betas below 1"
            )
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient; returns what `closure` returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            for step, together in self._by_step(parameters).items():
                _adamw_update(together, [self.state[parameter] for parameter in together], step, group)
        return loss

    def _by_step(self, parameters: list[Tensor]) -> dict[int, list[Tensor]]:
        """Count a step for each parameter, and group those at the same count (all of them, but for late-comers)."""
        groups: dict[int, list[Tensor]] = {}
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["step"] = 0
                state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
                state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            state["step"] += 1
            groups.setdefault(state["step"], []).append(parameter)
        return groups


def _adamw_update(parameters: list[Tensor], states: list[dict[str, Any]], step: int, group: dict[str, Any]) -> None:
    beta1, beta2 = group["betas"]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    averages = [state["exp_avg"] for state in states]
    squares = [state["exp_avg_sq"] for state in states]
    torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
    torch._foreach_lerp_(averages, gradients, 1 - beta1)
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
    denominators = torch._foreach_sqrt(squares)
    torch._foreach_div_(denominators, math.sqrt(1 - beta2**step))
    torch._foreach_add_(denominators, group["eps"])
    torch._foreach_addcdiv_(parameters, averages, denominators, -group["lr"] / (1 - beta1**step))


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two parameter groups: matrices, which decay, and vectors (gains), which do not."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


@torch.no_grad()
def gradient_norm(parameters: Iterable[Tensor]) -> Float[Tensor, ""]:
    """sqrt(Σ g²) over all gradients together, in float32; 0 without any."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.zeros(())
    norms = torch._foreach_norm([gradient.float() for gradient in gradients])
    return torch.linalg.vector_norm(torch.stack(list(norms)))


@torch.no_grad()
def clip_gradients(parameters: Iterable[Tensor], max_norm: float, epsilon: float = 1e-6) -> Float[Tensor, ""]:
    """Scale all gradients by max_norm / (norm + ε) where their common norm exceeds `max_norm`; returns the norm
    before.
    """
    held = list(parameters)
    norm = gradient_norm(held)
    gradients = [parameter.grad for parameter in held if parameter.grad is not None]
    if gradients:
        torch._foreach_mul_(gradients, (max_norm / (norm + epsilon)).clamp(max=1.0))
    return norm
