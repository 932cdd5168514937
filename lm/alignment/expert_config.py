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

    seed: Annotated[int, Doc("Seed of sampling and of the choice of kept answers."), Range(0)] = 0
    most_kept: Annotated[
        int, Doc("Maximum number of correct answers kept per problem; duplicates count once."), Range(1)
    ] = 2
    choice: Annotated[
        Choice, Doc("Choice of the kept answers if more are correct: random, or the shortest in tokens.")
    ] = "random"
    too_long: Annotated[
        TooLong,
        Doc(
            "Treatment of prompts without room for an answer in the context: stop with an error (refuse), or leave "
            "them out and count them (skip, cut)."
        ),
    ] = "refuse"


@dataclass(frozen=True, kw_only=True)
class ExpertConfig(SFTConfig, RejectionConfig):
    """Expert iteration: rounds of rejection sampling and SFT on what was kept; the steps and rates are a round's."""

    num_steps: Annotated[int, Doc("Optimizer updates per round."), Range(1)] = 50
    learning_rate: Annotated[
        float, Doc("Peak learning rate of each round, reached at the end of its warm-up."), Range(above=0)
    ] = 1e-3
    warmup_steps: Annotated[int, Doc("Steps of linear learning-rate warm-up in each round."), Range(0)] = 5
    num_rounds: Annotated[int, Doc("Rounds of sampling and fine-tuning."), Range(1, 1_000)] = 3
    round_start: Annotated[
        RoundStart,
        Doc(
            "Model that a round fine-tunes: the base model of the first round (base), or the model of the previous "
            "round (last)."
        ),
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
