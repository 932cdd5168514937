"""AdamW and SGD. Muon lies in `lm.training.muon`, the groups of weights in `lm.training.parameter_groups`.

Decoupled decay (Loshchilov and Hutter 2019) shrinks a weight by lr · λ a step, apart from the gradient. The paper's
algorithm 2 takes both changes from the same θ, and so does torch, which shrinks first and then moves by an update that
was made from the old θ's gradient: θ (1 − lr λ) − lr u. That is the default here. The other order moves first and then
shrinks what it has moved, (θ − lr u)(1 − lr λ); the two differ by lr² λ u. (The paper scales λ by the schedule alone,
torch and this one by the whole learning rate.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from lm.errors import ConfigurationError
from lm.kernels.adamw import AdamWSettings, AdamWUpdate, adamw_


class AdamW(torch.optim.Optimizer):
    """Adam with decoupled weight decay.

    m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  θ ← θ (1 − lr λ) − lr · m̂ / (sqrt(v̂) + ε),  m̂ = m / (1 − β₁ᵗ),
    v̂ = v / (1 − β₂ᵗ)

    `decay_last` shrinks after the move instead: θ ← (θ − lr · m̂ / (sqrt(v̂) + ε)) (1 − lr λ). State of a parameter:
    `step`, `exp_avg` (m), `exp_avg_sq` (v). On a GPU all parameters move in one launch
    (`lm.kernels.adamw`).

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
        adamw_([update for group in self.param_groups for update in self._updates(group)])
        return loss

    def _updates(self, group: dict[str, Any]) -> Iterator[AdamWUpdate]:
        """Count a step for each parameter that has a gradient; a late-comer's count begins at its first."""
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if not state:
                state["step"] = 0
                state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
                state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            state["step"] += 1
            settings = AdamWSettings(
                lr=group["lr"],
                betas=tuple(group["betas"]),
                epsilon=group["eps"],
                weight_decay=group["weight_decay"],
                step=int(state["step"]),
                decay_last=group["decay_last"],
            )
            yield AdamWUpdate(parameter, parameter.grad, state["exp_avg"], state["exp_avg_sq"], settings)


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
