"""AdamW's update of all parameters of an optimizer.

On a CUDA device it is one Triton launch, on a CPU torch's fused loop. Else it is the reference: batches of torch's
operations.

m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  θ ← θ (1 − lr λ) − lr · m̂ / (sqrt(v̂) + ε),  m̂ = m / (1 − β₁ᵗ),
v̂ = v / (1 − β₂ᵗ); `decay_last` shrinks after the move instead. The kernel computes in float32 (float64 for float64
moments).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lm.kernels.backend import forces_references, runs_kernel, type_limits


@dataclass(frozen=True, slots=True)
class AdamWSettings:
    """The numbers of one update; `step` counts from 1."""

    lr: float
    betas: tuple[float, float]
    epsilon: float
    weight_decay: float
    step: int
    decay_last: bool = False

    @property
    def corrections(self) -> tuple[float, float]:
        """1 − β₁ᵗ, and the root of 1 − β₂ᵗ."""
        return 1 - self.betas[0] ** self.step, math.sqrt(1 - self.betas[1] ** self.step)

    def row(self) -> list[float]:
        """Return the eight numbers that the kernel reads."""
        (beta1, beta2), (correction, root), shrink = self.betas, self.corrections, 1 - self.lr * self.weight_decay
        first, last = (1.0, shrink) if self.decay_last else (shrink, 1.0)
        return [self.lr / correction, 1 - beta1, beta2, 1 - beta2, root, self.epsilon, first, last]


@dataclass(frozen=True, slots=True)
class AdamWUpdate:
    """A parameter, its gradient, its moments m and v, and the numbers of its update."""

    parameter: Tensor
    gradient: Tensor
    average: Tensor
    square: Tensor
    settings: AdamWSettings

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """θ, g, m and v."""
        return self.parameter, self.gradient, self.average, self.square


def adamw_(updates: Sequence[AdamWUpdate]) -> None:
    """Move every parameter and its moments in place."""
    if updates and runs_kernel("adamw", updates[0].parameter, _limits(updates)):
        for part in _by(updates, lambda update: (update.parameter.device, *(t.dtype for t in update.tensors))):
            _launch(part)
    else:
        for part in _by(updates, lambda update: (update.settings, _fits_loop(update))):
            (_in_one_loop if _fits_loop(part[0]) and not forces_references() else _together)(part)


def _fits_loop(update: AdamWUpdate) -> bool:
    """Return whether torch's loop for CPUs takes this update: one type of 32 or 64 bits, elements in order."""
    types = {tensor.dtype for tensor in update.tensors}
    wide = types == {torch.float32} or types == {torch.float64}
    return wide and all(tensor.is_cpu and tensor.is_contiguous() for tensor in update.tensors)


def _in_one_loop(updates: list[AdamWUpdate]) -> None:
    """Update by the loop of `torch.optim.AdamW(fused=True)`, which reads and writes each number once."""
    settings = updates[0].settings
    parameters, gradients, averages, squares = (list(part) for part in zip(*(u.tensors for u in updates), strict=True))
    steps = [torch.tensor(float(settings.step))] * len(updates)
    torch._fused_adamw_(
        parameters,
        gradients,
        averages,
        squares,
        [],
        steps,
        lr=settings.lr,
        beta1=settings.betas[0],
        beta2=settings.betas[1],
        weight_decay=0.0 if settings.decay_last else settings.weight_decay,
        eps=settings.epsilon,
        amsgrad=False,
        maximize=False,
    )
    if settings.decay_last:
        torch._foreach_mul_(parameters, 1 - settings.lr * settings.weight_decay)


def _limits(updates: Sequence[AdamWUpdate]) -> str:
    for update in updates:
        if not all(t.is_contiguous() for t in (update.parameter, update.average, update.square)):
            return f"a parameter {list(update.parameter.shape)} whose elements are not in order"
        if update.average.dtype != update.square.dtype:
            return f"moments of {update.average.dtype} and {update.square.dtype}, expected one type"
        limits = type_limits(*update.tensors)
        if limits:
            return limits
    return ""


def _by(updates: Sequence[AdamWUpdate], key: Any) -> list[list[AdamWUpdate]]:
    groups: dict[Any, list[AdamWUpdate]] = defaultdict(list)
    for update in updates:
        groups[key(update)].append(update)
    return list(groups.values())


def _launch(updates: list[AdamWUpdate]) -> None:
    parameters, gradients, averages, squares = (list(part) for part in zip(*(u.tensors for u in updates), strict=True))
    wide = torch.promote_types(averages[0].dtype, torch.float32)
    settings = torch.tensor([update.settings.row() for update in updates], dtype=wide)
    torch.ops.loam.adamw_(parameters, [g.contiguous() for g in gradients], averages, squares, settings)


def _together(updates: list[AdamWUpdate]) -> None:
    """Update by the reference: updates of equal settings in one batch of torch's operations."""
    settings = updates[0].settings
    (beta1, beta2), (correction, root) = settings.betas, settings.corrections
    parameters, gradients, averages, squares = (list(part) for part in zip(*(u.tensors for u in updates), strict=True))
    shrink = 1 - settings.lr * settings.weight_decay
    if not settings.decay_last:
        torch._foreach_mul_(parameters, shrink)
    torch._foreach_lerp_(averages, gradients, 1 - beta1)
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
    denominators = torch._foreach_sqrt(squares)
    torch._foreach_div_(denominators, root)
    torch._foreach_add_(denominators, settings.epsilon)
    torch._foreach_addcdiv_(parameters, averages, denominators, -settings.lr / correction)
    if settings.decay_last:
        torch._foreach_mul_(parameters, shrink)


@torch.library.custom_op(
    "loam::adamw_",
    mutates_args=("parameters", "averages", "squares"),
    schema="(Tensor(a!)[] parameters, Tensor[] gradients, Tensor(b!)[] averages, Tensor(c!)[] squares, "
    "Tensor settings) -> ()",
)
def _step(
    parameters: list[Tensor], gradients: list[Tensor], averages: list[Tensor], squares: list[Tensor], settings: Tensor
) -> None:
    from lm.kernels.triton import adamw as kernels

    kernels.step(parameters, gradients, averages, squares, settings)


@_step.register_fake
def _step_fake(
    parameters: list[Tensor], gradients: list[Tensor], averages: list[Tensor], squares: list[Tensor], settings: Tensor
) -> None:
    return None
