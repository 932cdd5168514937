"""AdamW and SGD. Muon lies in `lm.training.muon`, the groups of weights in `lm.training.parameter_groups`.

Decoupled decay (Loshchilov and Hutter 2019) shrinks a weight by lr · λ a step, apart from the gradient. The paper's
algorithm 2 takes both changes from the same θ, and so does torch, which shrinks first and then moves by an update that
was made from the old θ's gradient: θ (1 − lr λ) − lr u. That is the default here. The other order moves first and then
shrinks what it has moved, (θ − lr u)(1 − lr λ); the two differ by lr² λ u. (The paper scales λ by the schedule alone,
torch and this one by the whole learning rate.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from lm.errors import ConfigurationError


class AdamW(torch.optim.Optimizer):
    """Adam with decoupled weight decay.

    m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  θ ← θ (1 − lr λ) − lr · m̂ / (sqrt(v̂) + ε),  m̂ = m / (1 − β₁ᵗ),
    v̂ = v / (1 − β₂ᵗ)

    `decay_last` shrinks after the move instead: θ ← (θ − lr · m̂ / (sqrt(v̂) + ε)) (1 − lr λ). State of a parameter:
    `step`, `exp_avg` (m), `exp_avg_sq` (v). All parameters of a group move in one batch of fused operations.

    Raises:
        ConfigurationError: a negative setting, or a beta of 1 or more.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        decay_last: bool = False,
    ) -> None:
        if lr < 0 or eps < 0 or weight_decay < 0 or not all(0 <= beta < 1 for beta in betas):
            raise ConfigurationError(
                f"AdamW: lr={lr}, betas={betas}, eps={eps}, weight_decay={weight_decay}; "
                "expected values of at least 0, and betas below 1"
            )
        defaults = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "decay_last": decay_last}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient; returns what `closure` returned."""
        loss = _evaluated(closure)
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
            groups.setdefault(int(state["step"]), []).append(parameter)
        return groups


def _adamw_update(parameters: list[Tensor], states: list[dict[str, Any]], step: int, group: dict[str, Any]) -> None:
    beta1, beta2 = group["betas"]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    averages = [state["exp_avg"] for state in states]
    squares = [state["exp_avg_sq"] for state in states]
    shrink = 1 - group["lr"] * group["weight_decay"]
    if not group["decay_last"]:
        torch._foreach_mul_(parameters, shrink)
    torch._foreach_lerp_(averages, gradients, 1 - beta1)
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
    denominators = torch._foreach_sqrt(squares)
    torch._foreach_div_(denominators, math.sqrt(1 - beta2**step))
    torch._foreach_add_(denominators, group["eps"])
    torch._foreach_addcdiv_(parameters, averages, denominators, -group["lr"] / (1 - beta1**step))
    if group["decay_last"]:
        torch._foreach_mul_(parameters, shrink)


class SGD(torch.optim.Optimizer):
    """Stochastic gradient descent with momentum.

    g ← g + λ θ,  b ← μ b + g (b = g at first),  θ ← θ − lr b,  or with `nesterov` θ ← θ − lr (g + μ b)

    Equals `torch.optim.SGD` (whose decay is part of the gradient, not decoupled). State of a parameter: `momentum` (b).

    Raises:
        ConfigurationError: a negative setting, momentum of 1 or more, or Nesterov's form without momentum.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        *,
        nesterov: bool = False,
    ) -> None:
        if lr < 0 or weight_decay < 0 or not 0 <= momentum < 1:
            raise ConfigurationError(
                f"SGD: lr={lr}, momentum={momentum}, weight_decay={weight_decay}; "
                "expected values of at least 0, and momentum below 1"
            )
        if nesterov and not momentum:
            raise ConfigurationError("SGD: nesterov without momentum; expected momentum above 0")
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient; returns what `closure` returned."""
        loss = _evaluated(closure)
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                torch._foreach_add_(parameters, self._updates(parameters, group), alpha=-group["lr"])
        return loss

    def _updates(self, parameters: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
        momentum = group["momentum"]
        if not momentum:
            return gradients
        buffers = [self._buffer(parameter) for parameter in parameters]
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, gradients)
        return list(torch._foreach_add(gradients, buffers, alpha=momentum)) if group["nesterov"] else buffers

    def _buffer(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum"]
        return buffer


def _evaluated(closure: Callable[[], float] | None) -> float | None:
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
