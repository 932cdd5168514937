"""What a pre-training run does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from lm.configuration import Doc, Range, settle, unknown_key
from lm.errors import ConfigurationError
from lm.model.config import ModelConfig
from lm.model.presets import preset

FREE_TO_CHANGE = frozenset({"checkpoint_interval", "keep_checkpoints", "keep_every", "prefetch_batches"})
"""Fields that shape no weight and no line of the log: a run may be resumed with others."""

ROLES = ("embeddings", "lm_head", "matrices", "vectors")
"""What a weight can be; `lm.training.parameter_groups` tells which is which."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig:
    """A run: the model, how long, how fast, and how often it looks and saves. Intervals are in steps; 0 means never.

    The defaults suit `tiny_cpu` and about a million tokens; larger models want larger batches and lower learning rates.

    Raises:
        ConfigurationError: a value out of range, or not exactly one of `num_steps` and `num_tokens`.
    """

    preset: Annotated[
        str,
        Doc(
            "Shape of the model, by name: test, tiny_cpu, small_cpu, gpt2_124m, gpt2_355m, llama_1b, "
            "llama_3b, qwen3_0_6b, qwen3_1_7b."
        ),
    ] = "tiny_cpu"
    model: Annotated[
        Mapping[str, Any], Doc("Fields of the preset to replace; the vocabulary size always comes from the shards.")
    ] = field(default_factory=dict)
    num_steps: Annotated[int, Doc("How long, in steps; 0 where `num_tokens` says it."), Range(0)] = 0
    num_tokens: Annotated[
        int,
        Doc("How long, in training tokens (padding counts), rounded up to whole steps; 0 where `num_steps` says it."),
        Range(0),
    ] = 0
    batch_size: Annotated[int, Doc("Windows of `context_length` tokens a step."), Range(1, 2**24)] = 4
    microbatch_size: Annotated[
        int,
        Doc(
            "Windows computed at once, to bound memory; 0 means the whole batch. The gradient is the same, "
            "but for the balancing term of a mixture of experts, which is a mean over what is computed at "
            "once."
        ),
        Range(0, 2**24),
    ] = 0
    packing: Annotated[
        Literal["stream", "best_fit", "padded"],
        Doc("How documents become windows: cut anywhere (stream), packed whole (best_fit), or each alone (padded)."),
    ] = "stream"
    document_masks: Annotated[bool, Doc("Tokens look only at tokens of their own document.")] = False
    source_weights: Annotated[
        Mapping[str, float],
        Doc("Sources of the shards and their shares of the windows; without any, all rows are one stream."),
        Range(above=0),
    ] = field(default_factory=dict)
    prefetch_batches: Annotated[
        int, Doc("Batches that a thread reads ahead; 0 reads them when they are due."), Range(0, 1_024)
    ] = 2
    optimizer: Annotated[
        Literal["adamw", "muon", "sgd"],
        Doc(
            "muon orthogonalizes the updates of the layers' matrices and leaves the rest to adamw; sgd has "
            "momentum alone."
        ),
    ] = "muon"
    learning_rate: Annotated[float, Doc("The highest learning rate, after the warm-up."), Range(above=0)] = 1e-2
    final_learning_rate: Annotated[float, Doc("The learning rate at the end."), Range(0)] = 1e-3
    schedule: Annotated[
        Literal["cosine", "wsd", "linear"],
        Doc(
            "How the learning rate gets there: by half a cosine, a straight line, or (wsd) flat first and a "
            "line at last."
        ),
    ] = "cosine"
    decay_share: Annotated[float, Doc("The share of the steps in which wsd goes down."), Range(above=0, most=1)] = 0.2
    warmup_steps: Annotated[int, Doc("Steps until the learning rate is at its highest."), Range(0)] = 20
    learning_rate_multipliers: Annotated[
        Mapping[str, float],
        Doc("Factors of the learning rate for embeddings, lm_head, matrices, vectors; those left out have 1."),
        Range(0),
    ] = field(default_factory=dict)
    momentum: Annotated[float, Doc("Muon's and SGD's memory of the gradient."), Range(0, below=1)] = 0.95
    nesterov: Annotated[bool, Doc("SGD looks one step ahead along its momentum; Muon always does.")] = False
    beta1: Annotated[float, Doc("AdamW's memory of the gradient."), Range(0, below=1)] = 0.9
    beta2: Annotated[float, Doc("AdamW's memory of the gradient's square."), Range(0, below=1)] = 0.95
    epsilon: Annotated[float, Doc("AdamW's guard against division by zero."), Range(above=0)] = 1e-8
    weight_decay: Annotated[float, Doc("Decay of matrices; decoupled from the gradient but for sgd."), Range(0)] = 0.1
    decay_last: Annotated[bool, Doc("AdamW moves a weight before it shrinks it, not after.")] = False
    z_loss: Annotated[
        float,
        Doc("Weight of (log of the softmax's normalizer)² in the loss, against drifting logits; 1e-4 is usual."),
        Range(0),
    ] = 0.0
    max_gradient_norm: Annotated[float, Doc("Gradients with a larger norm are scaled down to it."), Range(above=0)] = (
        1.0
    )
    spike_threshold: Annotated[
        float,
        Doc("A loss so many robust deviations above the median of the last 128 is told as a spike; 0 looks for none."),
        Range(0),
    ] = 8.0
    skip_spikes: Annotated[bool, Doc("The update of a step whose loss is a spike is left out, and counted.")] = False
    seed: Annotated[int, Doc("Draws the first weights and the order of windows."), Range(0)] = 0
    log_interval: Annotated[int, Doc("Steps between two lines of the log."), Range(1)] = 1
    evaluation_interval: Annotated[int, Doc("Steps between two evaluations on the way."), Range(0)] = 100
    evaluation_tokens: Annotated[
        int, Doc("Validation tokens of the evaluations on the way; the last one takes all."), Range(0)
    ] = 16_384
    checkpoint_interval: Annotated[int, Doc("Steps between two checkpoints."), Range(0)] = 200
    keep_checkpoints: Annotated[int, Doc("How many of the newest checkpoints stay."), Range(1)] = 2
    keep_every: Annotated[
        int,
        Doc("Checkpoints of steps that this divides stay as well, also after the end; 0 keeps none of them."),
        Range(0),
    ] = 0
    sample_interval: Annotated[int, Doc("Steps between two samples of text; needs the tokenizer."), Range(0)] = 0
    sample_tokens: Annotated[int, Doc("Tokens of a sample."), Range(1)] = 64
    device: Annotated[str, Doc("cpu, cuda, or auto: a GPU where there is one.")] = "auto"
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Doc(
            "Of matrix products; weights and moments are float32. auto is bfloat16 on a GPU, float32 on a "
            "CPU; float16 scales the loss."
        ),
    ] = "auto"
    compile: Annotated[bool, Doc("torch.compile the model: slow to start, then faster.")] = False
    checkpoint_activations: Annotated[
        bool,
        Doc(
            "Keep only each layer's input and compute the layer again for its gradient: less memory, a third more work."
        ),
    ] = False
    deterministic: Annotated[
        bool, Doc("Only kernels that give the same bits every time, which a CPU does anyway; slower on a GPU.")
    ] = False
    num_threads: Annotated[
        int,
        Doc("Threads of the CPU; 0 leaves torch's choice. Bytes are equal only between runs with equally many."),
        Range(0, 4_096),
    ] = 0

    def __post_init__(self) -> None:
        settle(self)
        if (self.num_steps > 0) == (self.num_tokens > 0):
            raise ConfigurationError(
                f"num_steps: {self.num_steps}, num_tokens: {self.num_tokens}; expected exactly one above 0"
            )
        self._expect("final_learning_rate", self.final_learning_rate <= self.learning_rate, "at most learning_rate")
        self._check_combinations()

    def _check_combinations(self) -> None:
        self._expect("nesterov", not self.nesterov or self.optimizer == "sgd", "false unless optimizer is sgd")
        self._expect("nesterov", not self.nesterov or self.momentum > 0, "false without momentum")
        self._expect("decay_last", not self.decay_last or self.optimizer != "sgd", "false where optimizer is sgd")
        self._expect("skip_spikes", not self.skip_spikes or self.spike_threshold > 0, "false without spike_threshold")
        for name in self.learning_rate_multipliers:
            if name not in ROLES:
                raise ConfigurationError(unknown_key(name, ROLES, "learning_rate_multipliers"))
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
