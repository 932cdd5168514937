"""Configuration of learning from one's own right answers: rejection sampling and expert iteration."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from lm.alignment.config import SamplingConfig, SFTConfig, TooLong
from lm.configuration import Doc, Range

Choice = Literal["random", "shortest"]
RoundStart = Literal["base", "last"]


@dataclass(frozen=True, kw_only=True)
class RejectionConfig(SamplingConfig):
    """Rejection sampling: the right ones of a model's own answers, as instructions."""

    seed: Annotated[int, Doc("Draws the samples, and those that are kept."), Range(0)] = 0
    most_kept: Annotated[int, Doc("Right answers kept of a problem, at most; equal ones count once."), Range(1)] = 2
    choice: Annotated[
        Choice, Doc("Which right answers are kept where there are more: some at random, or the shortest in tokens.")
    ] = "random"
    too_long: Annotated[
        TooLong, Doc("A prompt that leaves no room for an answer stops the sampling, or is left out and counted.")
    ] = "refuse"


@dataclass(frozen=True, kw_only=True)
class ExpertConfig(SFTConfig, RejectionConfig):
    """Expert iteration: rounds of rejection sampling and SFT on what was kept; the steps and rates are a round's."""

    num_steps: Annotated[int, Doc("Optimizer updates of a round."), Range(1)] = 50
    learning_rate: Annotated[float, Doc("The highest learning rate of a round, after its warm-up."), Range(above=0)] = (
        1e-3
    )
    warmup_steps: Annotated[int, Doc("Steps of a round until the learning rate is at its highest."), Range(0)] = 5
    num_rounds: Annotated[int, Doc("Rounds of sampling and fine-tuning."), Range(1, 1_000)] = 3
    round_start: Annotated[
        RoundStart, Doc("The model that a round tunes: the base of the first round, or the last round's.")
    ] = "last"

    def sampling(self, number: int) -> RejectionConfig:
        """Return the settings of the sampling of round `number`, from 1 on."""
        return RejectionConfig(**self._values(RejectionConfig, number))

    def tuning(self, number: int) -> SFTConfig:
        """Return the settings of the SFT of round `number`, from 1 on."""
        return SFTConfig(**self._values(SFTConfig, number))

    def _values(self, kind: type, number: int) -> dict[str, Any]:
        """Return the fields of one kind, with a seed of the round's own."""
        values = {field.name: getattr(self, field.name) for field in fields(kind)}
        return values | {"seed": (self.seed * 1_000_003 + number) % 2**63}
