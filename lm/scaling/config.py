"""Configuration of the training plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """The budgets to plan for, and the size of the step whose memory is counted."""

    budgets_flops: Annotated[
        tuple[float, ...],
        Doc("Training budgets, in FLOPs. For each budget the plan has the compute-optimal shape and number of tokens."),
        Range(above=0),
    ] = (1e13, 1e15, 1e17, 1e19, 1e21)
    context_length: Annotated[int, Doc("Context length of the planned models, in tokens."), Range(1, 2**24)] = 1_024
    microbatch_size: Annotated[
        int, Doc("Sequences per microbatch, for the memory estimates of the presets."), Range(1, 2**24)
    ] = 8

    def __post_init__(self) -> None:
        settle(self, "plan")
        if not self.budgets_flops:
            raise ConfigurationError("plan.budgets_flops: none, expected at least one")
