"""What a pre-training run does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lm.configuration import settle, unknown_key
from lm.errors import ConfigurationError
from lm.model.config import ModelConfig, preset

FREE_TO_CHANGE = frozenset({"checkpoint_interval", "keep_checkpoints", "keep_every", "prefetch_batches"})
"""Fields that shape no weight and no line of the log: a run may be resumed with others."""

ROLES = ("embeddings", "lm_head", "matrices", "vectors")
"""What a weight can be; `lm.training.parameter_groups` tells which is which."""

_MOST_THREADS = 4_096
_ABOVE_ZERO = (
    "batch_size",
    "learning_rate",
    "max_gradient_norm",
    "keep_checkpoints",
    "log_interval",
    "epsilon",
    "sample_tokens",
)
_AT_LEAST_ZERO = (
    "microbatch_size",
    "prefetch_batches",
    "final_learning_rate",
    "warmup_steps",
    "weight_decay",
    "z_loss",
    "spike_threshold",
    "evaluation_interval",
    "evaluation_tokens",
    "checkpoint_interval",
    "keep_every",
    "sample_interval",
    "num_threads",
    "seed",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig:
    """A run: the model, how long, how fast, and how often it looks and saves. Intervals are in steps; 0 means never.

    The defaults suit `tiny_cpu` and about a million tokens; larger models want larger batches and lower learning rates.

    Raises:
        ConfigurationError: a value out of range, or not exactly one of `num_steps` and `num_tokens`.
    """

    preset: str = "tiny_cpu"
    """Shape of the model, by name: test, tiny_cpu, small_cpu, gpt2_124m, gpt2_355m, llama_1b, llama_3b, qwen3_0_6b,
    qwen3_1_7b.
    """
    model: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the preset to replace; the vocabulary size always comes from the shards."""
    num_steps: int = 0
    """How long, in steps; 0 where `num_tokens` says it."""
    num_tokens: int = 0
    """How long, in training tokens (padding counts), rounded up to whole steps; 0 where `num_steps` says it."""
    batch_size: int = 4
    """Windows of `context_length` tokens a step."""
    microbatch_size: int = 0
    """Windows computed at once, to bound memory; 0 means the whole batch. The gradient is the same, but for the
    balancing term of a mixture of experts, which is a mean over what is computed at once.
    """
    packing: Literal["stream", "best_fit", "padded"] = "stream"
    """How documents become windows: cut anywhere (stream), packed whole (best_fit), or each alone (padded)."""
    document_masks: bool = False
    """Tokens look only at tokens of their own document."""
    source_weights: Mapping[str, float] = field(default_factory=dict)
    """Sources of the shards and their shares of the windows; without any, all rows are one stream."""
    prefetch_batches: int = 2
    """Batches that a thread reads ahead; 0 reads them when they are due."""
    optimizer: Literal["adamw", "muon", "sgd"] = "muon"
    """muon orthogonalizes the updates of the layers' matrices and leaves the rest to adamw; sgd has momentum alone."""
    learning_rate: float = 1e-2
    """The highest learning rate, after the warm-up."""
    final_learning_rate: float = 1e-3
    """The learning rate at the end."""
    schedule: Literal["cosine", "wsd", "linear"] = "cosine"
    """How the learning rate gets there: by half a cosine, a straight line, or (wsd) flat first and a line at last."""
    decay_share: float = 0.2
    """The share of the steps in which wsd goes down."""
    warmup_steps: int = 20
    """Steps until the learning rate is at its highest."""
    learning_rate_multipliers: Mapping[str, float] = field(default_factory=dict)
    """Factors of the learning rate for embeddings, lm_head, matrices, vectors; those left out have 1."""
    momentum: float = 0.95
    """Muon's and SGD's memory of the gradient."""
    nesterov: bool = False
    """SGD looks one step ahead along its momentum; Muon always does."""
    beta1: float = 0.9
    """AdamW's memory of the gradient."""
    beta2: float = 0.95
    """AdamW's memory of the gradient's square."""
    epsilon: float = 1e-8
    """AdamW's guard against division by zero."""
    weight_decay: float = 0.1
    """Decay of matrices; decoupled from the gradient but for sgd."""
    decay_last: bool = False
    """AdamW moves a weight before it shrinks it, not after."""
    z_loss: float = 0.0
    """Weight of (log of the softmax's normalizer)² in the loss, against drifting logits; 1e-4 is usual."""
    max_gradient_norm: float = 1.0
    """Gradients with a larger norm are scaled down to it."""
    spike_threshold: float = 8.0
    """A loss so many robust deviations above the median of the last 128 is told as a spike; 0 looks for none."""
    skip_spikes: bool = False
    """The update of a step whose loss is a spike is left out, and counted."""
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
    keep_every: int = 0
    """Checkpoints of steps that this divides stay as well, also after the end; 0 keeps none of them."""
    sample_interval: int = 0
    """Steps between two samples of text; needs the tokenizer."""
    sample_tokens: int = 64
    """Tokens of a sample."""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU where there is one."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of matrix products; weights and moments are float32. auto is bfloat16 on a GPU, float32 on a CPU; float16 scales
    the loss.
    """
    compile: bool = False
    """torch.compile the model: slow to start, then faster."""
    checkpoint_activations: bool = False
    """Keep only each layer's input and compute the layer again for its gradient: less memory, a third more work."""
    deterministic: bool = False
    """Only kernels that give the same bits every time, which a CPU does anyway; slower on a GPU."""
    num_threads: int = 0
    """Threads of the CPU; 0 leaves torch's choice. Bytes are equal only between runs with equally many."""

    def __post_init__(self) -> None:
        settle(self)
        if (self.num_steps > 0) == (self.num_tokens > 0):
            raise ConfigurationError(
                f"num_steps: {self.num_steps}, num_tokens: {self.num_tokens}; expected exactly one above 0"
            )
        self._expect("num_steps", self.num_steps >= 0, "at least 0")
        self._expect("num_tokens", self.num_tokens >= 0, "at least 0")
        self._expect("seed", self.seed < 2**63, "below 2^63")
        self._expect("num_threads", self.num_threads <= _MOST_THREADS, f"at most {_MOST_THREADS:,}")
        for name in _ABOVE_ZERO:
            self._expect(name, getattr(self, name) > 0, "more than 0")
        for name in _AT_LEAST_ZERO:
            self._expect(name, getattr(self, name) >= 0, "at least 0")
        for name in ("beta1", "beta2", "momentum"):
            self._expect(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        self._expect("final_learning_rate", self.final_learning_rate <= self.learning_rate, "at most learning_rate")
        self._expect("decay_share", 0 < self.decay_share <= 1, "above 0 and at most 1")
        self._check_combinations()

    def _check_combinations(self) -> None:
        self._expect("nesterov", not self.nesterov or self.optimizer == "sgd", "false unless optimizer is sgd")
        self._expect("nesterov", not self.nesterov or self.momentum > 0, "false without momentum")
        self._expect("decay_last", not self.decay_last or self.optimizer != "sgd", "false where optimizer is sgd")
        self._expect("skip_spikes", not self.skip_spikes or self.spike_threshold > 0, "false without spike_threshold")
        for name, factor in self.learning_rate_multipliers.items():
            if name not in ROLES:
                raise ConfigurationError(unknown_key(name, ROLES, "learning_rate_multipliers"))
            if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 <= factor < math.inf:
                raise ConfigurationError(f"learning_rate_multipliers.{name}: {factor!r}, expected a number from 0 on")
        for name, weight in self.source_weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
                raise ConfigurationError(f"source_weights.{name}: {weight!r}, expected a number above 0")
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
