"""What each stage of alignment does: one dataclass a stage, over what all three share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lm.errors import ConfigurationError

Normalization = Literal["token", "sequence", "constant"]
Optimizer = Literal["adamw", "muon"]


@dataclass(frozen=True, kw_only=True)
class TuningConfig:
    """What every stage sets; each stage has its own defaults. One step is one optimizer update."""

    seed: int = 0
    """Draws the order of batches and every sample."""
    num_steps: int = 100
    """Optimizer updates."""
    batch_size: int = 32
    """Examples a step: instructions, pairs or problems."""
    optimizer: Optimizer = "muon"
    """Muon for the layers' matrices, or AdamW for everything; both take about the same learning rate."""
    learning_rate: float = 1e-4
    """The highest learning rate, after the warm-up."""
    warmup_steps: int = 5
    """Steps until the learning rate is at its highest."""
    final_lr_fraction: float = 0.1
    """The learning rate at the end, as a share of the highest; a cosine leads there."""
    weight_decay: float = 0.0
    """Decoupled decay of matrices."""
    max_gradient_norm: float = 1.0
    """Gradients with a larger norm are scaled down to it."""
    max_new_tokens: int = 48
    """Longest answer."""
    evaluation_problems: int = 200
    """Held-out problems to answer before and after; the first of the file, so that every stage answers the same."""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU where there is one."""
    num_threads: int = 0
    """Threads of the CPU; 0 leaves torch's choice. Bytes are equal only between runs with equally many."""

    def __post_init__(self) -> None:
        for name in ("num_steps", "batch_size", "max_new_tokens", "evaluation_problems"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name}: {getattr(self, name)}, expected at least 1")
        for name in ("learning_rate", "max_gradient_norm"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise ConfigurationError(f"{name}: {getattr(self, name)}, expected a positive number")


@dataclass(frozen=True, kw_only=True)
class SFTConfig(TuningConfig):
    """Supervised fine-tuning."""

    num_steps: int = 100
    """Optimizer updates."""
    learning_rate: float = 5e-3
    """The highest learning rate, after the warm-up."""
    warmup_steps: int = 10
    """Steps until the learning rate is at its highest."""
    max_examples: int | None = None
    """Take only the first so many training examples; empty takes all."""


@dataclass(frozen=True, kw_only=True)
class DPOConfig(TuningConfig):
    """Direct preference optimization."""

    num_steps: int = 60
    """Optimizer updates."""
    learning_rate: float = 1e-3
    """The highest learning rate, after the warm-up."""
    beta: float = 0.1
    """How strongly the policy is held to the reference."""
    sft_weight: float = 1.0
    """Weight of the chosen answer's own likelihood in the loss; 0 is plain DPO."""


@dataclass(frozen=True, kw_only=True)
class GRPOConfig(TuningConfig):
    """Group-relative policy optimization: a step draws problems, samples a group of answers to each, and updates."""

    num_steps: int = 90
    """Rollouts of a batch of problems."""
    batch_size: int = 64
    """Problems a step."""
    learning_rate: float = 1e-3
    """The highest learning rate, after the warm-up."""
    group_size: int = 8
    """Answers sampled to each problem."""
    temperature: float = 1.0
    """Of the samples."""
    updates_per_rollout: int = 1
    """Into how many parts a step's problems are divided, with one update on each; the later ones are off-policy."""
    microbatch_size: int = 128
    """Responses in one forward pass; changes memory, not the gradient."""
    clip_low: float = 0.2
    """How far the probability ratio may fall below 1."""
    clip_high: float = 0.2
    """How far the probability ratio may rise above 1."""
    kl_weight: float = 0.0
    """Weight of the divergence from the model that training starts from; 0 leaves it out."""
    divide_by_std: bool = True
    """Divide a group's advantages by the standard deviation of its rewards."""
    negative_weight: float = 0.2
    """What advantages below 0 are multiplied by: 1 is plain GRPO, less leans on what went right."""
    normalization: Normalization = "token"
    """What the summed loss of tokens is divided by: all tokens, each sequence's, or a constant."""
    format_reward: float = 0.0
    """For a well-formed wrong answer; a right one has 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.group_size < 2:
            raise ConfigurationError(f"group_size: {self.group_size}, expected at least 2: an advantage compares")
        if self.temperature <= 0.0:
            raise ConfigurationError(
                f"temperature: {self.temperature}, expected more than 0: greedy groups do not differ"
            )
        if not 0.0 <= self.format_reward < 1.0:
            raise ConfigurationError(f"format_reward: {self.format_reward}, expected at least 0 and less than 1")
