"""What the training plan is asked."""

from __future__ import annotations

from dataclasses import dataclass

from lm.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """The budgets to plan for, and the size of the step whose memory is counted."""

    budgets_flops: tuple[float, ...] = (1e13, 1e15, 1e17, 1e19, 1e21)
    """Training budgets, in floating-point operations; for each the best shape and number of tokens is planned."""
    context_length: int = 1_024
    """Tokens a planned model reads at once."""
    microbatch_size: int = 8
    """Sequences a step computes at once, for the memory of the presets."""

    def __post_init__(self) -> None:
        if not self.budgets_flops or min(self.budgets_flops) <= 0:
            raise ConfigurationError(f"plan.budgets_flops: {self.budgets_flops}, expected at least one, above 0")
        for name in ("context_length", "microbatch_size"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"plan.{name}: {getattr(self, name)}, expected at least 1")
