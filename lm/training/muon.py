"""Muon: momentum with orthogonalized updates of matrices (Jordan et al. 2024).

m ← μ m + g,  update = orthogonal(g + μ m) · 0.2 sqrt(max(d_out, d_in)),  θ ← θ (1 − lr λ) − lr · update

`orthogonal` replaces the singular values by about 1, so that all directions learn, not only the few loud ones. The
factor gives the update the root mean square of AdamW's, so both take the same learning rate and decay (Liu et al. 2025,
section 2.2). Only the layers' matrices are trained so (`lm.training.parameter_groups` picks them; of a stack of experts
each matrix is its own); embeddings, output layer and gains stay with AdamW.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lm.kernels.backend import runs_kernel
from lm.training.optimizers import AdamW

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(AdamW):
    """AdamW, but for parameter groups with `orthogonal` set; their state is `momentum`."""

    def __init__(self, params: Iterable[Any], *, momentum: float = 0.95, **settings: Any) -> None:
        super().__init__(params, **settings)
        self.defaults |= {"orthogonal": False, "momentum": momentum}  # of groups that are added later
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
        parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
        matrices = self._whole([self._momentum(parameter, group) for parameter in parameters], parameters)
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for index, matrix in enumerate(matrices):
            by_shape.setdefault(tuple(sorted(matrix.shape[-2:])), []).append(index)
        for (_, longer), indices in by_shape.items():
            moved = [parameters[index] for index in indices]
            updates = self._parts(_orthogonal([matrices[index] for index in indices]), moved)
            torch._foreach_mul_(moved, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(moved, updates, alpha=-group["lr"] * 0.2 * math.sqrt(longer))
            del updates  # before those of the next shape are made

    def _whole(self, parts: list[Tensor], parameters: list[Tensor]) -> list[Tensor]:
        """Return the whole matrices of which an optimizer of slices has parts."""
        return parts

    def _parts(self, updates: list[Tensor], parameters: list[Tensor]) -> list[Tensor]:
        """Return the parts of whole matrices that this optimizer moves."""
        return updates

    def _momentum(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """Return Nesterov's momentum: the gradient and the momentum that already contains it."""
        gradient = parameter.grad
        assert gradient is not None
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].mul_(group["momentum"]).add_(gradient)
        return gradient.add(state["momentum"], alpha=group["momentum"])


def _orthogonal(matrices: list[Tensor]) -> list[Tensor]:
    """Orthogonalize matrices of one shape, standing or lying, in one stack."""
    lying = [_lying(matrix) for matrix in matrices]
    together = orthogonalize(torch.cat(lying)).split([len(part) for part in lying])
    return [_standing(part, like) for part, like in zip(together, matrices, strict=True)]


def orthogonalize(
    matrices: Float[Tensor, "*batch rows columns"], steps: int = 5
) -> Float[Tensor, "*batch rows columns"]:
    """Return U Vᵀ of each matrix U S Vᵀ, with singular values of 0.7 to 1.2 in place of 1.

    Newton-Schulz iteration X ← a X + (b A + c A²) X, A = X Xᵀ, whose coefficients rise fast at 0 rather than converge.
    In bfloat16 on a GPU, in float32 on a CPU.
    """
    x = _lying(matrices)
    x = x.bfloat16() if x.is_cuda else x.float()
    return _standing(_iteration(x)(x, steps), matrices).to(matrices.dtype)


def _lying(matrices: Tensor) -> Tensor:
    """Return a stack of matrices none of which is taller than wide, transposed where needed: all of a shape go
    together.
    """
    x = matrices.reshape(-1, *matrices.shape[-2:])
    return x.mT if x.shape[-2] > x.shape[-1] else x


def _standing(x: Tensor, like: Tensor) -> Tensor:
    """Undo `_lying`."""
    return (x.mT if like.shape[-2] > like.shape[-1] else x).reshape(like.shape)


def _iteration(x: Tensor) -> Callable[[Tensor, int], Tensor]:
    """Return the iteration, compiled on a CUDA device unless the switch of the kernels says reference."""
    return _compiled() if x.is_cuda and runs_kernel("newton_schulz", x) else _newton_schulz


@cache
def _compiled() -> Callable[[Tensor, int], Tensor]:
    return torch.compile(_newton_schulz, dynamic=False)


def _newton_schulz(x: Tensor, steps: int) -> Tensor:
    a, b, c = _COEFFICIENTS
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x
