"""Loss scaling for float16, whose smallest number is so large that most gradients would vanish.

The loss is multiplied by a large factor before the backward pass and the gradients are divided by it after. A gradient
that overflowed skips the update and halves the factor; a long row without doubles it (Micikevicius et al. 2018).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor


class LossScaler:
    """The dynamic loss scale; `state()` and `restore()` belong to a checkpoint."""

    def __init__(self, scale: float = 2.0**16, growth_interval: int = 2_000) -> None:
        self.scale, self.growth_interval = scale, growth_interval
        self._good_steps = 0

    @torch.no_grad()
    def unscale(self, parameters: Iterable[Tensor]) -> None:
        """Divide the gradients by the factor."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if gradients:
            torch._foreach_mul_(gradients, 1.0 / self.scale)

    def update(self, overflowed: bool) -> bool:
        """Move the factor after a step; False where the gradients overflow even with a factor of 1, which scaling
        cannot mend.
        """
        if overflowed:
            self._good_steps = 0
            if self.scale <= 1.0:
                return False
            self.scale = max(1.0, self.scale / 2)
            return True
        self._good_steps += 1
        if self._good_steps == self.growth_interval:
            self.scale, self._good_steps = self.scale * 2, 0
        return True

    def state(self) -> dict[str, Any]:
        """Return the factor and how long it has held."""
        return {"scale": self.scale, "good_steps": self._good_steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state()`."""
        self.scale, self._good_steps = float(state["scale"]), int(state["good_steps"])
