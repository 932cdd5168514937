"""Configuration of a sweep of trainings through the training API."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError
from lm.scaling.training_api.request import TrainingRequest

POINTS = "points.json"


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """All combinations of budgets, widths and learning rates.

    Raises:
        ConfigurationError: a value out of its range, or no combination.
    """

    budgets_flops: Annotated[tuple[float, ...], Doc("Training budgets to try, in FLOPs."), Range(above=0)] = (5e9, 1e10)
    widths: Annotated[tuple[int, ...], Doc("Values of d_model to try."), Range(8, 2**16)] = (16, 32)
    learning_rates: Annotated[tuple[float, ...], Doc("Peak learning rates to try."), Range(above=0, most=1_000)] = (
        3e-2,
    )
    num_layers: Annotated[int, Doc("Number of layers."), Range(1, 4_096)] = 2
    d_head: Annotated[int, Doc("Dimensions per head."), Range(2, 2**12)] = 8
    context_length: Annotated[int, Doc("Context length, in tokens."), Range(8, 2**20)] = 128
    batch_tokens: Annotated[int, Doc("Batch size, in tokens per step."), Range(8, 2**26)] = 512
    optimizer: Annotated[Literal["adamw", "muon", "sgd"], Doc("Optimizer of all runs.")] = "muon"
    seed: Annotated[int, Doc("Seed of all runs."), Range(0, 2**31)] = 0
    total_flops: Annotated[
        float, Doc("Total budget of the local queue, in FLOPs, if `url` is empty."), Range(above=0)
    ] = 1e15
    url: Annotated[str, Doc("URL of a training API, such as http://127.0.0.1:8100; empty trains locally.")] = ""

    def __post_init__(self) -> None:
        settle(self, "sweep")
        if not self.requests():
            raise ConfigurationError("sweep: no combination of budgets_flops, widths and learning_rates")

    def requests(self) -> list[TrainingRequest]:
        """Return one request a combination."""
        return list(self._requests())

    def _requests(self) -> Iterator[TrainingRequest]:
        for flops, width, rate in itertools.product(self.budgets_flops, self.widths, self.learning_rates):
            if width % self.d_head:
                raise ConfigurationError(f"sweep.widths: {width}, expected multiples of d_head = {self.d_head}")
            yield TrainingRequest(
                train_flops=flops,
                d_model=width,
                num_layers=self.num_layers,
                num_heads=width // self.d_head,
                learning_rate=rate,
                batch_tokens=self.batch_tokens,
                context_length=self.context_length,
                optimizer=self.optimizer,
                seed=self.seed,
            )
