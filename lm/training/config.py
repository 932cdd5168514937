"""Configuration of a pre-training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from lm.configuration import Doc, OneOf, Range, settle, unknown_key
from lm.errors import ConfigurationError
from lm.model.config import ModelConfig
from lm.model.presets import preset
from lm.training.recipes import RECIPES

FREE_TO_CHANGE = frozenset(
    {
        "checkpoint_interval",
        "checkpoint_interval_s",
        "data_parallel",
        "keep_checkpoints",
        "keep_every",
        "num_processes",
        "prefetch_batches",
        "profile_step",
        "rank_silence_s",
        "tensor_parallel",
    }
)
"""Fields that shape no line of the log, and no weight but by the rounding of sums: a run may be resumed with others."""

FROM_PRESET: Any = None
"""The default of a field that the preset's recipe fills in."""

ROLES = ("embeddings", "lm_head", "matrices", "vectors")
"""The roles of weights; `lm.training.parameter_groups` assigns them."""

Precision = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    Doc(
        "Of matrix products; weights and moments are float32. auto is bfloat16 on a GPU, float32 on a CPU; float16 "
        "scales the loss."
    ),
]
Compilation = Annotated[
    Literal["auto", "off", "blocks", "model"],
    Doc(
        "What torch's compiler takes at once: each layer (blocks), all of them (model), nothing (off). auto is blocks "
        "on a GPU and off on a CPU. The first step waits for the compiler."
    ),
]
Recomputation = Annotated[
    Literal["none", "blocks", "selective"],
    Doc(
        "Activations computed again for the gradient instead of kept: whole layers (blocks: a third more work), or all "
        "but matrix products and attention (selective)."
    ),
]
"""Settings of computing that pre-training and alignment share; `lm.training.compute` puts them on a model."""

_ANY_VOCABULARY = 512
_OF_THE_RUN = {
    "vocab_size": "comes from the token shards",
    "separate_documents": "follows from document_masks and packing",
}

_SLICED = ("fsdp", "fully_shard")
"""Ways of data parallelism with slices of every weight on each rank."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig:
    """A run: the model, its length, its optimizer, and how often it evaluates and saves. Intervals are in steps; at 0
    nothing is due.

    Fields left out take the values of the preset's recipe (`lm.training.recipes`), so a built configuration is always
    explicit; `dataclasses.replace` with another preset keeps them.

    Raises:
        ConfigurationError: a value out of range, an impossible model, or not exactly one of `num_steps` and
            `num_tokens`.
    """

    preset: Annotated[str, Doc("Shape of the model, and recipe of its training."), OneOf(RECIPES)] = "tiny_cpu"
    model: Annotated[
        Mapping[str, Any], Doc("Fields of the preset to replace; the vocabulary size always comes from the shards.")
    ] = field(default_factory=dict)
    num_steps: Annotated[int, Doc("How long, in steps; 0 where `num_tokens` says it."), Range(0)] = 0
    num_tokens: Annotated[
        int,
        Doc("How long, in training tokens (padding counts), rounded up to whole steps; 0 where `num_steps` says it."),
        Range(0),
    ] = 0
    batch_size: Annotated[
        int, Doc("Windows of `context_length` tokens a step; left out, the recipe's number of tokens."), Range(1, 2**24)
    ] = FROM_PRESET
    microbatch_size: Annotated[
        int,
        Doc(
            "Windows computed at once, to bound memory; 0 means the whole batch. The gradient is the same, "
            "except for the balancing term of a mixture of experts, which is a mean over each microbatch."
        ),
        Range(0, 2**24),
    ] = FROM_PRESET
    packing: Annotated[
        Literal["stream", "best_fit", "padded"],
        Doc("How documents become windows: cut anywhere (stream), packed whole (best_fit), or each alone (padded)."),
    ] = "stream"
    document_masks: Annotated[bool, Doc("A token attends only to tokens of its own document.")] = False
    source_weights: Annotated[
        Mapping[str, float],
        Doc("Sources of the shards and their shares of the tokens; without any, all rows are one stream."),
        Range(above=0),
    ] = field(default_factory=dict)
    prefetch_batches: Annotated[
        int, Doc("Batches that a thread reads ahead; 0 reads them when they are due."), Range(0, 1_024)
    ] = 2
    optimizer: Annotated[
        Literal["adamw", "muon", "sgd"],
        Doc(
            "muon orthogonalizes the updates of the layers' matrices and leaves other weights to adamw; sgd has "
            "momentum alone."
        ),
    ] = FROM_PRESET
    learning_rate: Annotated[float, Doc("The highest learning rate, after the warm-up."), Range(above=0)] = FROM_PRESET
    final_lr_fraction: Annotated[
        float, Doc("The learning rate at the end, as a fraction of the highest."), Range(0, 1)
    ] = 0.1
    schedule: Annotated[
        Literal["cosine", "wsd", "linear"],
        Doc(
            "How the learning rate falls: by half a cosine, along a line, or (wsd) not at all until a line at "
            "the end. A wsd run can be continued from its flat part."
        ),
    ] = "cosine"
    decay_share: Annotated[float, Doc("The share of the steps in which wsd decays."), Range(above=0, most=1)] = 0.2
    decay_chat_share: Annotated[
        float,
        Doc("The share of windows in wsd's decay that are chat-formatted instructions; none come earlier. 0 for none."),
        Range(0, below=1),
    ] = 0.0
    warmup_steps: Annotated[int, Doc("Steps until the learning rate is at its highest."), Range(0)] = FROM_PRESET
    learning_rate_multipliers: Annotated[
        Mapping[str, float],
        Doc("Factors of the learning rate for embeddings, lm_head, matrices, vectors; 1 where left out."),
        Range(0),
    ] = field(default_factory=dict)
    momentum: Annotated[float, Doc("Muon's and SGD's memory of the gradient."), Range(0, below=1)] = 0.95
    nesterov: Annotated[bool, Doc("Nesterov momentum for SGD; Muon always has it.")] = False
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
        Doc("A loss this many robust deviations above the median of the last 128 is reported as a spike; 0: none is."),
        Range(0),
    ] = 8.0
    skip_spikes: Annotated[bool, Doc("Skip and count the update of a step whose loss is a spike.")] = False
    init_from: Annotated[
        str,
        Doc(
            "A model artifact, or the folder of one checkpoint, to start from; empty draws the first weights. "
            "For annealing and continued pre-training."
        ),
    ] = ""
    init_state: Annotated[
        Literal["weights", "optimizer", "run"],
        Doc(
            "What is taken from there: the weights alone, the optimizer's moments too, or the whole run, which goes "
            "on at its step under another length or decay (wsd). The last two need a checkpoint."
        ),
    ] = "weights"
    seed: Annotated[int, Doc("Draws the first weights and the order of windows."), Range(0)] = 0
    log_interval: Annotated[int, Doc("Steps between two lines of the log."), Range(1)] = 1
    evaluation_interval: Annotated[int, Doc("Steps between two evaluations on the way."), Range(0)] = 100
    evaluation_tokens: Annotated[
        int, Doc("Validation tokens of the evaluations on the way; the last one takes all."), Range(0)
    ] = 16_384
    checkpoint_interval: Annotated[
        int, Doc("Steps between two checkpoints, beside the interval in seconds; 0 counts no steps."), Range(0)
    ] = 0
    checkpoint_interval_s: Annotated[
        float,
        Doc(
            "Seconds between two checkpoints: at least these, and at least 50 times as long as the last one took "
            "to write, which keeps the cost below 2%; 0 counts no seconds."
        ),
        Range(0),
    ] = 10.0
    keep_checkpoints: Annotated[int, Doc("How many of the newest checkpoints stay."), Range(1)] = 2
    keep_every: Annotated[
        int,
        Doc("Steps between two checkpoints that stay, also after the end; 0 keeps none of them."),
        Range(0),
    ] = 0
    sample_interval: Annotated[int, Doc("Steps between two samples of text; needs the tokenizer."), Range(0)] = 0
    sample_tokens: Annotated[int, Doc("Tokens of a sample."), Range(1)] = 64
    profile_step: Annotated[
        int,
        Doc(
            "A step whose parts are timed; the step after it is traced. Trace, memory and table lie in the work "
            "folder. 0 profiles nothing."
        ),
        Range(0),
    ] = 0
    device: Annotated[str, Doc("cpu, cuda, or auto: a GPU where there is one.")] = "auto"
    precision: Precision = FROM_PRESET
    compile: Compilation = "auto"
    recomputation: Recomputation = FROM_PRESET
    residual_stream: Annotated[
        Literal["float32", "bfloat16"],
        Doc(
            "Of the stream between layers: bfloat16 moves half the bytes and rounds every addition. For norms before "
            "the parts of a layer."
        ),
    ] = "float32"
    fp8: Annotated[
        bool, Doc("Matrix products of the layers in 8 bits, one scale a tensor. Needs a GPU of the Hopper kind.")
    ] = False
    deterministic: Annotated[
        bool, Doc("Only kernels that give the same bits every time, which a CPU does anyway; slower on a GPU.")
    ] = False
    num_threads: Annotated[
        int,
        Doc("Threads of the CPU; 0 leaves torch's choice. Bytes are equal only between runs with equally many."),
        Range(0, 4_096),
    ] = 0

    num_processes: Annotated[
        int,
        Doc(
            "Ranks that train together on this machine, one a GPU, started by torchrun. Under torchrun or another "
            "launcher its number of ranks replaces this one. The batch size is a multiple of them."
        ),
        Range(1, 65_536),
    ] = 1
    data_parallel: Annotated[
        Literal["ddp", "zero1", "zero2", "fsdp", "fully_shard"],
        Doc(
            "What each rank keeps: all weights, gradients and moments (ddp), a share of the moments (zero1), of the "
            "gradients too (zero2), or of everything, by Loam's code (fsdp) or torch's (fully_shard). The model is the "
            "same but for the rounding of sums."
        ),
    ] = "ddp"
    tensor_parallel: Annotated[
        int,
        Doc(
            "Neighbouring ranks that share each layer; heads, inner width and vocabulary are multiples of them. Over "
            "the rest, data parallelism (ddp). For AdamW and SGD, dense layers, no z_loss."
        ),
        Range(1, 64),
    ] = 1
    rank_silence_s: Annotated[
        float,
        Doc("Seconds without a sign of life after which a rank is lost and all end; a dead process is seen at once."),
        Range(above=1),
    ] = 30.0

    def __post_init__(self) -> None:
        settle(self)
        self._fill_in()
        if (self.num_steps > 0) == (self.num_tokens > 0):
            raise ConfigurationError(
                f"num_steps: {self.num_steps}, num_tokens: {self.num_tokens}; expected exactly one above 0"
            )
        self._check_combinations()

    def model_config(self, vocab_size: int) -> ModelConfig:
        """Return the model's shape for shards with this vocabulary."""
        return preset(self.preset, **{**self._run_shape(), **self.model, "vocab_size": vocab_size})

    def steps(self, context_length: int) -> int:
        """Return the number of steps of the run."""
        return self.num_steps or -(-self.num_tokens // (self.batch_size * context_length))

    def is_kept(self, step: int) -> bool:
        """Return whether the checkpoint of a step stays after the end: every `keep_every` steps, and the last one of a
        wsd run's flat part, from which the run can be continued.
        """
        if self.keep_every and step and step % self.keep_every == 0:
            return True
        if self.schedule != "wsd":
            return False
        num_steps = self.steps(self.model_config(_ANY_VOCABULARY).context_length)
        return step == num_steps - self.decay_steps(num_steps)

    def decay_steps(self, num_steps: int) -> int:
        """Return the length of the decay of a `wsd` run of `num_steps`."""
        return round(num_steps * self.decay_share)

    @property
    def compilation(self) -> Compilation:
        """Return `compile`; off where no rank keeps the whole weights of a layer."""
        return "off" if self._is_cut else self.compile

    def _run_shape(self) -> dict[str, Any]:
        """Return fields of the model that follow from the run rather than from the preset's shape."""
        context_length = RECIPES[self.preset].context_length
        shape: dict[str, Any] = {"context_length": context_length} if context_length else {}
        return {**shape, "separate_documents": self.document_masks or self.packing == "padded"}

    def _fill_in(self) -> None:
        """Give every field that was left out the value of the preset's recipe."""
        if self.preset not in RECIPES:
            raise ConfigurationError(unknown_key(self.preset, RECIPES, "preset"))
        for name in _OF_THE_RUN:
            if name in self.model:
                raise ConfigurationError(f"model.{name}: {_OF_THE_RUN[name]} and cannot be set")
        context_length = self.model_config(_ANY_VOCABULARY).context_length
        for name, value in RECIPES[self.preset].settings(context_length).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def _check_combinations(self) -> None:
        self._expect("nesterov", not self.nesterov or self.optimizer == "sgd", "false unless optimizer is sgd")
        self._expect("nesterov", not self.nesterov or self.momentum > 0, "false without momentum")
        self._expect("decay_last", not self.decay_last or self.optimizer != "sgd", "false where optimizer is sgd")
        self._expect("skip_spikes", not self.skip_spikes or self.spike_threshold > 0, "false without spike_threshold")
        self._expect("init_state", self.init_state == "weights" or bool(self.init_from), "weights without init_from")
        self._expect(
            "decay_chat_share", not self.decay_chat_share or self.schedule == "wsd", "0 unless schedule is wsd"
        )
        self._check_ranks()
        for name in self.learning_rate_multipliers:
            if name not in ROLES:
                raise ConfigurationError(unknown_key(name, ROLES, "learning_rate_multipliers"))

    def _check_ranks(self) -> None:
        ranks, split = self.num_processes, self.tensor_parallel
        self._expect("tensor_parallel", ranks == 1 or ranks % split == 0, f"a divisor of {ranks} ranks")
        readers = max(1, ranks // split)
        self._expect("batch_size", self.batch_size % readers == 0, f"a multiple of {readers} ranks")
        if split > 1:
            for name, holds, expected in (
                ("data_parallel", self.data_parallel == "ddp", "ddp"),
                ("optimizer", self.optimizer != "muon", "adamw or sgd"),
                ("z_loss", not self.z_loss, "0"),
                ("fp8", not self.fp8, "false"),
            ):
                self._expect(name, holds, f"{expected} with tensor_parallel = {split}")
        way = f"tensor_parallel = {split}" if split > 1 else f"data_parallel = {self.data_parallel}"
        self._expect("compile", not self._is_cut or self.compile in ("auto", "off"), f"auto or off with {way}")

    @property
    def _is_cut(self) -> bool:
        """Return whether no rank keeps the whole weights of a layer."""
        return self.data_parallel in _SLICED or self.tensor_parallel > 1

    def _expect(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ConfigurationError(f"{name}: {getattr(self, name)}, expected {expected}")
