"""A request of the training API: hyperparameters, and the training that follows from them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Literal

from lm.accounting.flops import training_flops_per_token
from lm.configuration import Doc, Range, settle, to_mapping
from lm.errors import ConfigurationError
from lm.model.config import ModelConfig
from lm.training.config import PretrainConfig

_ANY_VOCABULARY = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRequest:
    """The shape of a model and how to train it for `train_flops`.

    Raises:
        ConfigurationError: a value out of its range, or a shape that cannot work.
    """

    train_flops: Annotated[float, Doc("Training budget in FLOPs, as counted by `lm.accounting`."), Range(above=0)]
    d_model: Annotated[int, Doc("Width of the residual stream."), Range(8, 2**16)]
    num_layers: Annotated[int, Doc("Number of layers."), Range(1, 4_096)]
    num_heads: Annotated[int, Doc("Number of query heads."), Range(1, 4_096)]
    learning_rate: Annotated[
        float, Doc("Peak learning rate, reached at the end of the warm-up."), Range(above=0, most=1_000)
    ]
    batch_tokens: Annotated[int, Doc("Batch size, in tokens per step."), Range(8, 2**26)] = 1_024
    context_length: Annotated[int, Doc("Context length, in tokens."), Range(8, 2**20)] = 128
    optimizer: Annotated[Literal["adamw", "muon", "sgd"], Doc("Optimizer.")] = "muon"
    warmup_share: Annotated[float, Doc("Share of the steps in the learning-rate warm-up."), Range(0, 1)] = 0.1
    seed: Annotated[int, Doc("Seed of the weight initialization and of the data order."), Range(0, 2**31)] = 0

    def __post_init__(self) -> None:
        settle(self, "request")
        self.shape(_ANY_VOCABULARY)

    @property
    def identity(self) -> str:
        """Return the name of the request: equal requests have equal names."""
        return hashlib.sha256(json.dumps(to_mapping(self), sort_keys=True).encode()).hexdigest()[:16]

    def shape(self, vocab_size: int) -> ModelConfig:
        """Return the model for a vocabulary."""
        return self._training(1).model_config(vocab_size)

    def step_flops(self, vocab_size: int) -> float:
        """Return the FLOPs of one step."""
        return self._batch_size * self.context_length * training_flops_per_token(self.shape(vocab_size))

    def training(self, vocab_size: int) -> PretrainConfig:
        """Return the training: the whole steps that `train_flops` pay for.

        Raises:
            ConfigurationError: the FLOPs do not pay for one step.
        """
        steps = int(self.train_flops / self.step_flops(vocab_size) * (1 + 1e-9))
        if steps < 1:
            raise ConfigurationError(
                f"request.train_flops: {self.train_flops:.4g}, expected at least one step: "
                f"{self.step_flops(vocab_size):.4g}"
            )
        return self._training(steps)

    def planned_flops(self, vocab_size: int) -> float:
        """Return the FLOPs of the whole steps, which the budget must have left."""
        return self.training(vocab_size).num_steps * self.step_flops(vocab_size)

    @property
    def _batch_size(self) -> int:
        return max(1, self.batch_tokens // self.context_length)

    def _training(self, num_steps: int) -> PretrainConfig:
        model = {name: getattr(self, name) for name in ("context_length", "d_model", "num_layers", "num_heads")}
        return PretrainConfig(
            preset="tiny_cpu",
            model=model,
            num_steps=num_steps,
            batch_size=self._batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            warmup_steps=round(num_steps * self.warmup_share),
            evaluation_interval=0,
            seed=self.seed,
        )
