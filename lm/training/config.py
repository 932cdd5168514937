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
        "Number format of matrix multiplications; weights and optimizer moments are float32. auto is bfloat16 on "
        "a GPU and float32 on a CPU; float16 uses loss scaling."
    ),
]
Compilation = Annotated[
    Literal["auto", "off", "blocks", "model"],
    Doc(
        "Unit of torch.compile: each layer (blocks), the whole model (model), or none (off). auto is blocks on a "
        "GPU and off on a CPU. The first step includes compilation."
    ),
]
Recomputation = Annotated[
    Literal["none", "blocks", "selective"],
    Doc(
        "Activation checkpointing: recompute whole layers in the backward pass (blocks, a third more compute), "
        "or all operations except matrix products and attention (selective)."
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

    preset: Annotated[str, Doc("Model shape and training recipe."), OneOf(RECIPES)] = "tiny_cpu"
    model: Annotated[
        Mapping[str, Any],
        Doc("Model fields that replace those of the preset; the vocabulary size always comes from the shards."),
    ] = field(default_factory=dict)
    num_steps: Annotated[int, Doc("Length of the run, in steps; 0 if `num_tokens` is set."), Range(0)] = 0
    num_tokens: Annotated[
        int,
        Doc(
            "Length of the run, in training tokens including padding, rounded up to whole steps; 0 if `num_steps` is "
            "set."
        ),
        Range(0),
    ] = 0
    batch_size: Annotated[
        int,
        Doc("Sequences of `context_length` tokens per step; by default, the recipe's number of tokens."),
        Range(1, 2**24),
    ] = FROM_PRESET
    microbatch_size: Annotated[
        int,
        Doc(
            "Sequences per forward and backward pass, to limit memory; 0 is the whole batch. The gradient is the "
            "same, except for the balancing loss of a mixture of experts, which is a mean over each microbatch."
        ),
        Range(0, 2**24),
    ] = FROM_PRESET
    packing: Annotated[
        Literal["stream", "best_fit", "padded"],
        Doc(
            "Packing of documents into sequences: cut at any token (stream), whole documents (best_fit), or one "
            "document per sequence (padded)."
        ),
    ] = "stream"
    document_masks: Annotated[bool, Doc("Restrict attention to tokens of the same document.")] = False
    source_weights: Annotated[
        Mapping[str, float],
        Doc("Relative weight of each source of the shards in the training tokens; empty reads all rows as one stream."),
        Range(above=0),
    ] = field(default_factory=dict)
    prefetch_batches: Annotated[
        int, Doc("Batches read ahead by a background thread; 0 reads each batch when it is needed."), Range(0, 1_024)
    ] = 2
    optimizer: Annotated[
        Literal["adamw", "muon", "sgd"],
        Doc(
            "muon orthogonalizes the updates of the layers' matrices and uses adamw for all other weights; sgd is "
            "SGD with momentum."
        ),
    ] = FROM_PRESET
    learning_rate: Annotated[float, Doc("Peak learning rate, reached at the end of the warm-up."), Range(above=0)] = (
        FROM_PRESET
    )
    final_lr_fraction: Annotated[
        float, Doc("Final learning rate, as a fraction of the peak learning rate."), Range(0, 1)
    ] = 0.1
    schedule: Annotated[
        Literal["cosine", "wsd", "linear"],
        Doc(
            "Learning-rate decay: cosine, linear, or warmup-stable-decay (wsd), which stays flat until a final "
            "linear decay. A wsd run can be continued from its flat phase."
        ),
    ] = "cosine"
    decay_share: Annotated[
        float, Doc("Share of the steps in the decay phase of a wsd run."), Range(above=0, most=1)
    ] = 0.2
    decay_chat_share: Annotated[
        float,
        Doc(
            "Share of chat-formatted instructions among the sequences of wsd's decay phase; earlier phases have "
            "none. 0 disables them."
        ),
        Range(0, below=1),
    ] = 0.0
    warmup_steps: Annotated[int, Doc("Steps of linear learning-rate warm-up."), Range(0)] = FROM_PRESET
    learning_rate_multipliers: Annotated[
        Mapping[str, float],
        Doc(
            "Learning-rate multipliers by role of the weights: embeddings, lm_head, matrices, vectors. The default "
            "is 1."
        ),
        Range(0),
    ] = field(default_factory=dict)
    momentum: Annotated[float, Doc("Momentum coefficient of Muon and SGD."), Range(0, below=1)] = 0.95
    nesterov: Annotated[bool, Doc("Nesterov momentum for SGD; Muon always has it.")] = False
    beta1: Annotated[float, Doc("AdamW's β₁: decay rate of the first moment."), Range(0, below=1)] = 0.9
    beta2: Annotated[float, Doc("AdamW's β₂: decay rate of the second moment."), Range(0, below=1)] = 0.95
    epsilon: Annotated[float, Doc("AdamW's ε, added to the denominator."), Range(above=0)] = 1e-8
    weight_decay: Annotated[
        float, Doc("Weight decay of matrices, decoupled from the gradient except with sgd."), Range(0)
    ] = 0.1
    decay_last: Annotated[bool, Doc("Apply AdamW's weight decay after the gradient update, not before.")] = False
    z_loss: Annotated[
        float,
        Doc(
            "Weight of the z-loss, the squared log of the softmax normalizer, against drifting logits; 1e-4 is "
            "usual, 0 disables it."
        ),
        Range(0),
    ] = 0.0
    max_gradient_norm: Annotated[
        float,
        Doc("Gradient clipping: gradients with a larger global norm are scaled down to this norm."),
        Range(above=0),
    ] = 1.0
    spike_threshold: Annotated[
        float,
        Doc(
            "Loss-spike threshold: robust standard deviations above the median of the last 128 losses; 0 disables "
            "spike detection."
        ),
        Range(0),
    ] = 8.0
    skip_spikes: Annotated[bool, Doc("Skip the update of a step with a loss spike, and count it as skipped.")] = False
    init_from: Annotated[
        str,
        Doc(
            "Model artifact, or folder of one checkpoint, to start from: for annealing and continued pre-training. "
            "Empty initializes the weights randomly."
        ),
    ] = ""
    init_state: Annotated[
        Literal["weights", "optimizer", "run"],
        Doc(
            "State loaded from `init_from`: the weights, the weights and optimizer moments, or the whole run. `run` "
            "continues at the saved step with another length or decay (wsd). `optimizer` and `run` need a checkpoint."
        ),
    ] = "weights"
    seed: Annotated[int, Doc("Seed of the weight initialization and of the data order."), Range(0)] = 0
    log_interval: Annotated[int, Doc("Steps between log lines."), Range(1)] = 1
    evaluation_interval: Annotated[
        int, Doc("Steps between evaluations during the run; 0 evaluates only at the end."), Range(0)
    ] = 100
    evaluation_tokens: Annotated[
        int,
        Doc("Validation tokens of each evaluation during the run; 0 is all. The final evaluation always uses all."),
        Range(0),
    ] = 16_384
    checkpoint_interval: Annotated[
        int,
        Doc("Steps between checkpoints, in addition to `checkpoint_interval_s`; 0 disables the interval in steps."),
        Range(0),
    ] = 0
    checkpoint_interval_s: Annotated[
        float,
        Doc(
            "Minimum seconds between checkpoints. The interval is also at least 50 times the last write time, which "
            "keeps the cost below 2%. 0 disables the timer."
        ),
        Range(0),
    ] = 10.0
    keep_checkpoints: Annotated[int, Doc("Number of recent checkpoints to keep."), Range(1)] = 2
    keep_every: Annotated[
        int,
        Doc("Steps between checkpoints that are kept permanently, also after the end of the run; 0 disables this."),
        Range(0),
    ] = 0
    sample_interval: Annotated[
        int, Doc("Steps between text samples; needs the tokenizer. 0 disables samples."), Range(0)
    ] = 0
    sample_tokens: Annotated[int, Doc("Length of a text sample, in tokens."), Range(1)] = 64
    profile_step: Annotated[
        int,
        Doc(
            "Step to profile: the parts of this step are timed, and the next step is traced. Trace, memory profile "
            "and table are written to the work folder. 0 disables profiling."
        ),
        Range(0),
    ] = 0
    device: Annotated[str, Doc("cpu, cuda, or auto: a GPU if there is one.")] = "auto"
    precision: Precision = FROM_PRESET
    compile: Compilation = "auto"
    recomputation: Recomputation = FROM_PRESET
    residual_stream: Annotated[
        Literal["float32", "bfloat16"],
        Doc(
            "Number format of the residual stream. bfloat16 halves the memory traffic, rounds every addition and "
            "requires norm_placement pre or sandwich."
        ),
    ] = "float32"
    fp8: Annotated[
        bool,
        Doc(
            "FP8 matrix multiplications in the layers, with one scale per tensor. Requires a GPU of compute "
            "capability 8.9 or more."
        ),
    ] = False
    deterministic: Annotated[
        bool,
        Doc(
            "Use only deterministic kernels, for bit-identical results. Slower on a GPU; CPU kernels are always "
            "deterministic."
        ),
    ] = False
    num_threads: Annotated[
        int,
        Doc(
            "CPU threads; 0 is torch's default. Results are bit-identical only between runs with the same number of "
            "threads."
        ),
        Range(0, 4_096),
    ] = 0

    num_processes: Annotated[
        int,
        Doc(
            "Ranks of the run on this machine, one per GPU, started by torchrun. If a launcher such as torchrun "
            "starts the run itself, its number of ranks replaces this one. `batch_size` must be a multiple of the "
            "data-parallel ranks."
        ),
        Range(1, 65_536),
    ] = 1
    data_parallel: Annotated[
        Literal["ddp", "zero1", "zero2", "fsdp", "fully_shard"],
        Doc(
            "State that the ranks shard: nothing (ddp), the moments (zero1), moments and gradients (zero2), or "
            "everything: fsdp in Loam's code, fully_shard in torch's. The models agree up to rounding."
        ),
    ] = "ddp"
    tensor_parallel: Annotated[
        int,
        Doc(
            "Tensor parallelism: number of neighbouring ranks that share each layer; heads, d_ff and vocabulary must "
            "be multiples of it. The groups of ranks use ddp. For AdamW and SGD, dense layers, no z_loss."
        ),
        Range(1, 64),
    ] = 1
    rank_silence_s: Annotated[
        float,
        Doc(
            "Seconds without a heartbeat after which a rank counts as lost and all ranks end. A dead process on the "
            "same machine is detected at once."
        ),
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
