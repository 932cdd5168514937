"""What a pre-training run does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lm.errors import ConfigurationError
from lm.model.config import ModelConfig, preset

FREE_TO_CHANGE = frozenset({"checkpoint_interval", "keep_checkpoints"})
"""Fields that shape no weight and no line of the log: a run may be resumed with others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig:
    """A run: the model, how long, how fast, and how often it looks and saves. Intervals are in steps; 0 means never.

    The defaults suit `tiny_cpu` and about a million tokens; larger models want larger batches and lower learning rates.

    Raises:
        ConfigurationError: a value out of range, or not exactly one of `num_steps` and `num_tokens`.
    """

    preset: str = "tiny_cpu"
    """Shape of the model, by name: test, tiny_cpu, small_cpu, gpt2_124m, gpt2_355m, llama_1b."""
    model: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the preset to replace; the vocabulary size always comes from the shards."""
    num_steps: int = 0
    """How long, in steps; 0 where `num_tokens` says it."""
    num_tokens: int = 0
    """How long, in training tokens, rounded up to whole steps; 0 where `num_steps` says it."""
    batch_size: int = 4
    """Windows of `context_length` tokens a step."""
    microbatch_size: int = 0
    """Windows computed at once, to bound memory; 0 means the whole batch. The gradient is the same."""
    optimizer: Literal["adamw", "muon"] = "muon"
    """muon orthogonalizes the updates of matrices; adamw does not."""
    learning_rate: float = 1e-2
    """The highest learning rate, after the warm-up."""
    final_learning_rate: float = 1e-3
    """The learning rate at the end; a cosine leads there."""
    warmup_steps: int = 20
    """Steps until the learning rate is at its highest."""
    beta1: float = 0.9
    """AdamW's memory of the gradient."""
    beta2: float = 0.95
    """AdamW's memory of the gradient's square."""
    epsilon: float = 1e-8
    """AdamW's guard against division by zero."""
    weight_decay: float = 0.1
    """Decoupled decay of matrices."""
    max_gradient_norm: float = 1.0
    """Gradients with a larger norm are scaled down to it."""
    seed: int = 0
    """Draws the first weights and the order of windows."""
    log_interval: int = 1
    """Steps between two lines of the log."""
    evaluation_interval: int = 100
    """Steps between two evaluations on the way."""
    evaluation_tokens: int = 16_384
    """Validation tokens of the evaluations on the way; the last one takes all."""
    checkpoint_interval: int = 200
    """Steps between two checkpoints."""
    keep_checkpoints: int = 2
    """How many of the newest checkpoints stay."""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU where there is one."""
    num_threads: int = 0
    """Threads of the CPU; 0 leaves torch's choice. Bytes are equal only between runs with equally many."""

    def __post_init__(self) -> None:
        if (self.num_steps > 0) == (self.num_tokens > 0):
            raise ConfigurationError(
                f"num_steps: {self.num_steps}, num_tokens: {self.num_tokens}; expected exactly one above 0"
            )
        for name in ("batch_size", "learning_rate", "max_gradient_norm", "keep_checkpoints", "log_interval"):
            self._expect(name, getattr(self, name) > 0, "more than 0")
        for name in (
            "microbatch_size",
            "final_learning_rate",
            "warmup_steps",
            "weight_decay",
            "evaluation_interval",
            "evaluation_tokens",
            "checkpoint_interval",
            "num_threads",
            "seed",
        ):
            self._expect(name, getattr(self, name) >= 0, "at least 0")
        for name in ("beta1", "beta2"):
            self._expect(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        self._expect("final_learning_rate", self.final_learning_rate <= self.learning_rate, "at most learning_rate")
        if "vocab_size" in self.model:
            raise ConfigurationError("model.vocab_size: comes from the token shards and cannot be set")

    def model_config(self, vocab_size: int) -> ModelConfig:
        """The model's shape for shards with this vocabulary."""
        return preset(self.preset, **{**self.model, "vocab_size": vocab_size})

    def steps(self, context_length: int) -> int:
        """How many steps the run takes."""
        return self.num_steps or -(-self.num_tokens // (self.batch_size * context_length))

    def _expect(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ConfigurationError(f"{name}: {getattr(self, name)}, expected {expected}")
