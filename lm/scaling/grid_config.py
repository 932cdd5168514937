"""Configuration of Loam's own scaling law: a grid of budgets and sizes, and the larger budget to predict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from lm.configuration import Doc, Range, from_mapping, settle
from lm.errors import ConfigurationError
from lm.model.config import ModelConfig
from lm.training.config import PretrainConfig

_ANY_VOCABULARY = 512
_WIDENING = 3
"""d_ff over d_model: the default's rounding to whole 64s would give small widths other shapes."""
MOST_BUDGETS = 8
"""Budgets of a grid at most: each is a partition."""
_OWN = ("preset", "model", "num_steps", "num_tokens", "seed", "batch_size", "learning_rate", "warmup_steps")


@dataclass(frozen=True, kw_only=True, slots=True)
class GridConfig:
    """Trainings of every width at every budget, each to the end of its own schedule.

    All widths share one depth and one `d_head`, so that width scaling (`lm.model.width`) carries the learning rate of
    `base_width` to every size. The warm-up is the same share of every run, as a fixed number of steps would hold back
    small budgets most.

    Raises:
        ConfigurationError: a value out of its range, fewer than two budgets or sizes, or a width that `d_head` does
            not divide.
    """

    budgets_flops: Annotated[
        tuple[float, ...], Doc("Training budgets of the grid, in FLOPs, in increasing order."), Range(above=0)
    ] = (1e11, 2e11, 4e11, 8e11)
    widths: Annotated[tuple[int, ...], Doc("d_model of each model size, in increasing order."), Range(8, 2**16)] = (
        24,
        32,
        48,
        64,
        80,
    )
    num_layers: Annotated[int, Doc("Number of layers, the same for every size."), Range(1, 4_096)] = 2
    d_head: Annotated[int, Doc("Dimensions per head, the same for every size."), Range(2, 2**12)] = 8
    context_length: Annotated[int, Doc("Context length, in tokens."), Range(8, 2**20)] = 128
    batch_tokens: Annotated[int, Doc("Batch size, in tokens per step."), Range(8, 2**26)] = 512
    base_width: Annotated[
        int,
        Doc("The d_model that `learning_rate` applies to; width scaling (muP) gives the rates of other sizes."),
        Range(8, 2**16),
    ] = 32
    learning_rate: Annotated[float, Doc("Peak learning rate at `base_width`."), Range(above=0)] = 2e-2
    warmup_share: Annotated[float, Doc("Share of each run's steps in the learning-rate warm-up."), Range(0, 1)] = 0.1
    grid_seed: Annotated[int, Doc("Seed of all runs of the grid."), Range(0)] = 0
    prediction_factor: Annotated[
        float, Doc("Budget of the predicted runs, as a multiple of the grid's largest budget."), Range(above=1)
    ] = 4.0
    prediction_seeds: Annotated[
        tuple[int, ...], Doc("Seeds of the predicted runs; their mean loss is compared with the prediction."), Range(0)
    ] = (0, 1, 2)
    num_draws: Annotated[int, Doc("Bootstrap draws of the fit."), Range(2, 100_000)] = 400
    training: Annotated[
        Mapping[str, Any], Doc("Training settings shared by all runs, such as optimizer or precision.")
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settle(self, "grid")
        for name in ("budgets_flops", "widths"):
            values = getattr(self, name)
            if len(values) < 2 or list(values) != sorted(set(values)):
                raise ConfigurationError(f"grid.{name}: {list(values)}, expected two or more increasing numbers")
        if len(self.budgets_flops) > MOST_BUDGETS:
            raise ConfigurationError(f"grid.budgets_flops: {len(self.budgets_flops)}, expected at most {MOST_BUDGETS}")
        if not self.prediction_seeds or len(set(self.prediction_seeds)) != len(self.prediction_seeds):
            raise ConfigurationError(
                f"grid.prediction_seeds: {self.prediction_seeds}, expected one or more distinct seeds"
            )
        for width in (*self.widths, self.base_width):
            if width % self.d_head:
                raise ConfigurationError(f"grid.widths: {width}, expected multiples of d_head = {self.d_head}")
        for name in _OWN:
            if name in self.training:
                raise ConfigurationError(f"grid.training.{name}: follows from the grid and cannot be set")
        self.run(self.widths[0], 1, 0)

    def shape(self, width: int, vocab_size: int) -> ModelConfig:
        """Return the model of one width."""
        return self.run(width, 1, 0).model_config(vocab_size)

    def run(self, width: int, num_steps: int, seed: int) -> PretrainConfig:
        """Return the training of one width for `num_steps`."""
        heads = width // self.d_head
        model = {
            "context_length": self.context_length,
            "d_model": width,
            "num_layers": self.num_layers,
            "num_heads": heads,
            "d_ff": _WIDENING * width,
            "base_width": self.base_width,
        }
        settings = {
            "evaluation_interval": 0,
            **self.training,
            "preset": "tiny_cpu",
            "model": model,
            "num_steps": num_steps,
            "batch_size": max(1, self.batch_tokens // self.context_length),
            "learning_rate": self.learning_rate,
            "warmup_steps": max(1, round(num_steps * self.warmup_share)),
            "seed": seed,
        }
        return from_mapping(PretrainConfig, settings, "grid.training")


LARGE_GRID = GridConfig(
    budgets_flops=(3e16, 1e17, 3e17, 1e18),
    widths=(256, 384, 512, 640, 768, 1_024),
    num_layers=12,
    d_head=64,
    context_length=1_024,
    batch_tokens=2**17,
    base_width=256,
    training={"optimizer": "adamw", "precision": "bfloat16"},
)
"""A grid for one GPU. Its time is not measured."""

GRIDS: Mapping[str, GridConfig] = {"demo": GridConfig(), "gpu": LARGE_GRID}
"""Presets of the grid by name: `demo` for a CPU, `gpu` for one GPU."""
