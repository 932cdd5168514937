"""Muon: momentum whose update of a matrix is made orthogonal (Jordan et al. 2024).

m ← μ m + g,  update = orthogonal(g + μ m) · 0.2 sqrt(max(d_out, d_in)),  θ ← θ (1 − lr λ) − lr · update

`orthogonal` replaces the singular values by about 1, so that all directions learn, not only the few loud ones. The
factor gives the update the root mean square of AdamW's, so both take the same learning rate and decay (Liu et al. 2025,
section 2.2). Only the layers' matrices are trained so (`lm.training.parameter_groups` picks them; of a stack of experts
each matrix is its own); embeddings, output layer and gains stay with AdamW.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lm.training.optimizers import AdamW

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(AdamW):
    """AdamW, but for parameter groups with `orthogonal` set; their state is `momentum`."""

    def __init__(self, params: Iterable[Any], *, momentum: float = 0.95, **settings: Any) -> None:
        super().__init__(params, **settings)
        for group in self.param_groups:
            group.setdefault("orthogonal", False)
            group["momentum"] = momentum

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient; returns what `closure` returned."""
        groups = self.param_groups
        try:
            self.param_groups = [group for group in groups if not group["orthogonal"]]
            loss = super().step(closure)
        finally:
            self.param_groups = groups
        for group in groups:
            if group["orthogonal"]:
                self._step_matrices(group)
        return loss

    def _step_matrices(self, group: dict[str, Any]) -> None:
        by_shape: dict[torch.Size, list[Tensor]] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                by_shape.setdefault(parameter.shape, []).append(parameter)
        for shape, parameters in by_shape.items():
            updates = orthogonalize(torch.stack([self._momentum(parameter, group) for parameter in parameters]))
            rate = group["lr"] * 0.2 * math.sqrt(max(shape[-2:]))
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(parameters, list(updates.unbind()), alpha=-rate)

    def _momentum(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """Nesterov's: the gradient and the momentum that already contains it."""
        gradient = parameter.grad
        assert gradient is not None
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].mul_(group["momentum"]).add_(gradient)
        return gradient.add(state["momentum"], alpha=group["momentum"])


def orthogonalize(
    matrices: Float[Tensor, "*batch rows columns"], steps: int = 5
) -> Float[Tensor, "*batch rows columns"]:
    """U Vᵀ of each matrix U S Vᵀ, with singular values of 0.7 to 1.2 in place of 1.

    Newton-Schulz iteration X ← a X + (b A + c A²) X, A = X Xᵀ, whose coefficients rise fast at 0 rather than converge.
    In bfloat16 on a GPU, in float32 on a CPU.
    """
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.reshape(-1, *matrices.shape[-2:])
    x = x.mT if tall else x
    x = x.bfloat16() if x.is_cuda else x.float()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype).reshape(matrices.shape)
