"""Configuration of the alignment stages: SFT, DPO, PPO and GRPO, over the settings that they share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from lm.alignment.judge.config import JudgeConfig
from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError
from lm.training.config import Compilation, Precision, Recomputation

Optimizer = Literal["adamw", "muon"]
Baseline = Literal["mean", "leave_one_out", "none"]
Normalizer = Literal["std", "mean", "none"]
Method = Literal["naive", "reinforce_with_baseline", "unclipped", "clip", "gspo", "cispo"]
_WITHOUT_RATIO = ("naive", "reinforce_with_baseline")
Normalization = Literal["token", "sequence", "constant"]
KLEstimator = Literal["k1", "k2", "k3"]
PreferenceLoss = Literal["sigmoid", "ipo", "hinge"]
TooLong = Literal["refuse", "skip", "cut"]
Packing = Literal["padded", "best_fit"]
PairSource = Literal["verifier", "judge"]
PairPrompts = Literal["problems", "instructions"]
Curriculum = Literal["none", "pass_rate"]


@dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """The device of a stage, and its threads."""

    device: Annotated[str, Doc("cpu, cuda, or auto: a GPU if there is one.")] = "auto"
    num_threads: Annotated[
        int,
        Doc(
            "CPU threads; 0 is torch's default. Results are bit-identical only between runs with the same number of "
            "threads."
        ),
        Range(0, 4_096),
    ] = 0

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True, kw_only=True)
class UpdateConfig(DeviceConfig):
    """The settings of every training on examples: its batches and its learning rate."""

    seed: Annotated[int, Doc("Seed of the batch order and of sampling."), Range(0)] = 0
    num_steps: Annotated[int, Doc("Optimizer updates."), Range(1)] = 100
    batch_size: Annotated[int, Doc("Examples per step: instructions, pairs or problems."), Range(1, 2**24)] = 32
    learning_rate: Annotated[float, Doc("Peak learning rate, reached at the end of the warm-up."), Range(above=0)] = (
        1e-4
    )
    warmup_steps: Annotated[int, Doc("Optimizer updates of linear learning-rate warm-up."), Range(0)] = 5
    final_lr_fraction: Annotated[
        float, Doc("Final learning rate of the cosine schedule, as a fraction of the peak learning rate."), Range(0, 1)
    ] = 0.1
    weight_decay: Annotated[float, Doc("Weight decay of matrices, decoupled from the gradient."), Range(0)] = 0.0
    max_gradient_norm: Annotated[
        float,
        Doc("Gradient clipping: gradients with a larger global norm are scaled down to this norm."),
        Range(above=0),
    ] = 1.0
    too_long: Annotated[
        TooLong,
        Doc(
            "Treatment of examples longer than the context: stop with an error (refuse), leave them out (skip), or "
            "truncate the response (cut). Prompts without room for an answer are left out by skip and cut."
        ),
    ] = "refuse"


@dataclass(frozen=True, kw_only=True)
class TuningConfig(UpdateConfig):
    """The settings of every alignment stage; each stage has its own defaults. One step is one optimizer update."""

    optimizer: Annotated[
        Optimizer,
        Doc(
            "muon: Muon for the layers' matrices and AdamW for all other weights; adamw: AdamW for all. Both need "
            "about the same learning rate."
        ),
    ] = "muon"
    replay_windows: Annotated[
        int,
        Doc("Sequences of pre-training text replayed per optimizer update, against forgetting; 0 disables replay."),
        Range(0, 2**16),
    ] = 0
    replay_weight: Annotated[
        float, Doc("Weight of the mean loss of the replayed text, which is added to the stage's loss."), Range(above=0)
    ] = 1.0
    max_new_tokens: Annotated[int, Doc("Maximum length of an answer, in tokens."), Range(1)] = 48
    evaluation_problems: Annotated[
        int,
        Doc(
            "Number of held-out problems answered before and after the stage: the first in the file, the same for "
            "every stage."
        ),
        Range(1),
    ] = 200
    precision: Precision = "auto"
    compile: Compilation = "auto"
    recomputation: Recomputation = "none"

    @property
    def num_updates(self) -> int:
        """Updates of the optimizer in the whole stage."""
        return self.num_steps

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precision == "float16":
            raise ConfigurationError(
                "precision: float16, expected auto, float32 or bfloat16: alignment does not scale its loss"
            )


@dataclass(frozen=True, kw_only=True)
class SFTConfig(TuningConfig):
    """Supervised fine-tuning."""

    num_steps: Annotated[int, Doc("Optimizer updates."), Range(1)] = 100
    learning_rate: Annotated[float, Doc("Peak learning rate, reached at the end of the warm-up."), Range(above=0)] = (
        5e-3
    )
    warmup_steps: Annotated[int, Doc("Optimizer updates of linear learning-rate warm-up."), Range(0)] = 10
    packing: Annotated[
        Packing,
        Doc(
            "One padded example per row (padded), or several whole examples packed into a row (best_fit); the loss "
            "is the same."
        ),
    ] = "padded"
    microbatch_size: Annotated[int, Doc("Examples per forward pass; affects memory, not the gradient."), Range(1)] = 64
    max_examples: Annotated[
        int | None,
        Doc("Maximum number of training examples, taken from the start of the file; empty uses all."),
        Range(1),
    ] = None
    lora_rank: Annotated[
        int,
        Doc(
            "Rank of the LoRA adapters, which are trained in place of the layers' matrices and merged at the end; 0 "
            "disables LoRA."
        ),
        Range(0),
    ] = 0
    lora_alpha: Annotated[float, Doc("LoRA's α: the adapter product is scaled by alpha / rank."), Range(above=0)] = 16.0
    neftune_alpha: Annotated[
        float, Doc("NEFTune's α: scale of the noise on the embeddings, 5 in the paper; 0 disables the noise."), Range(0)
    ] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lora_rank and self.optimizer == "muon":
            raise ConfigurationError(
                "optimizer: muon with lora_rank, expected adamw: Muon orthogonalizes updates of whole matrices"
            )


@dataclass(frozen=True, kw_only=True)
class DPOConfig(TuningConfig):
    """Direct preference optimization."""

    num_steps: Annotated[int, Doc("Optimizer updates."), Range(1)] = 60
    learning_rate: Annotated[float, Doc("Peak learning rate, reached at the end of the warm-up."), Range(above=0)] = (
        1e-3
    )
    beta: Annotated[
        float, Doc("DPO's β: strength of the implicit KL penalty against the reference."), Range(above=0)
    ] = 0.1
    saturation: Annotated[
        float,
        Doc(
            "Stop early once the mean preference loss of the last ten steps is below this value; 0 disables early "
            "stopping."
        ),
        Range(0),
    ] = 0.0
    loss: Annotated[PreferenceLoss, Doc("Loss function of a pair's margin; sigmoid is standard DPO.")] = "sigmoid"
    label_smoothing: Annotated[
        float,
        Doc("Label smoothing: assumed share of pairs with swapped labels; sigmoid loss only."),
        Range(0, below=0.5),
    ] = 0.0
    length_normalized: Annotated[
        bool, Doc("Compare mean log-probabilities per token instead of sums over the responses.")
    ] = False
    sft_weight: Annotated[
        float,
        Doc("Weight of the chosen response's mean negative log-likelihood in the loss; 0 is standard DPO."),
        Range(0),
    ] = 1.0


@dataclass(frozen=True, kw_only=True)
class SamplingConfig(DeviceConfig):
    """The settings of samples that a model draws to training prompts."""

    num_problems: Annotated[int, Doc("Number of training prompts to answer: the first in the file."), Range(1)] = 256
    num_samples: Annotated[int, Doc("Answers sampled per prompt."), Range(1, 2**16)] = 4
    temperature: Annotated[float, Doc("Sampling temperature."), Range(0.01, 100)] = 1.0
    max_new_tokens: Annotated[int, Doc("Maximum length of an answer, in tokens."), Range(1)] = 48
    seed: Annotated[int, Doc("Seed of sampling."), Range(0)] = 0


@dataclass(frozen=True, kw_only=True)
class PairsConfig(SamplingConfig):
    """Preference pairs of a model's own samples."""

    source: Annotated[
        PairSource,
        Doc(
            "verifier: pairs of a correct and an incorrect sample; judge: pairs of two samples, ranked by a judge "
            "model."
        ),
    ] = "verifier"
    prompts: Annotated[
        PairPrompts, Doc("Training prompts to answer: problems or instructions. Instructions need a judge.")
    ] = "problems"
    judge: Annotated[JudgeConfig, Doc("The judge model, used if `source` is judge.")] = field(
        default_factory=JudgeConfig
    )
    num_samples: Annotated[
        int, Doc("Answers sampled per prompt; a judge compares the first two that differ."), Range(2, 2**16)
    ] = 4

    def __post_init__(self) -> None:
        settle(self, "preference_pairs")
        if self.source == "judge":
            self.judge.check_complete()
        elif self.prompts != "problems":
            raise ConfigurationError(
                f"prompts: {self.prompts} with source verifier, expected problems: instructions have no answers to "
                "verify"
            )


@dataclass(frozen=True, kw_only=True)
class RewardModelConfig(UpdateConfig):
    """A Bradley–Terry reward model, trained by AdamW."""

    batch_size: Annotated[int, Doc("Pairs per step."), Range(1, 2**24)] = 32
    learning_rate: Annotated[float, Doc("Peak learning rate, reached at the end of the warm-up."), Range(above=0)] = (
        1e-3
    )


@dataclass(frozen=True, kw_only=True)
class RolloutConfig(TuningConfig):
    """The settings of stages that learn from their own samples: a step draws problems, samples answers, and updates."""

    num_steps: Annotated[
        int, Doc("Training steps; each samples answers to a batch of problems and updates the policy."), Range(1)
    ] = 90
    batch_size: Annotated[int, Doc("Problems per step."), Range(1, 2**24)] = 64
    learning_rate: Annotated[float, Doc("Peak learning rate, reached at the end of the warm-up."), Range(above=0)] = (
        1e-3
    )
    group_size: Annotated[int, Doc("Answers sampled per problem."), Range(1, 2**16)] = 8
    temperature: Annotated[float, Doc("Sampling temperature."), Range(0.01, 100)] = 1.0
    microbatch_size: Annotated[int, Doc("Responses per forward pass; affects memory, not the gradient."), Range(1)] = (
        128
    )
    clip_low: Annotated[float, Doc("Clip range of the probability ratio below 1."), Range(0, 1)] = 0.2
    clip_high: Annotated[float, Doc("Clip range of the probability ratio above 1."), Range(0)] = 0.2
    kl_weight: Annotated[
        float, Doc("Weight of the KL penalty against the initial model; 0 disables the penalty."), Range(0)
    ] = 0.0
    patience: Annotated[
        int,
        Doc(
            "Fail if no response earns a reward in this many initial steps, or in all steps of a shorter run; 0 "
            "disables the check."
        ),
        Range(0),
    ] = 20
    mask_truncated: Annotated[
        bool,
        Doc(
            "Leave responses that reached max_new_tokens out of the loss; their rewards still count in the "
            "advantages of their group."
        ),
    ] = False
    format_reward: Annotated[
        float, Doc("Reward of a well-formed but incorrect answer; a correct answer has reward 1."), Range(0, below=1)
    ] = 0.0
    evaluate_every: Annotated[
        int,
        Doc(
            "Steps between evaluations on the validation problems; the last step is always evaluated. 0 disables them."
        ),
        Range(0),
    ] = 0
    validation_problems: Annotated[
        int,
        Doc(
            "Number of held-out problems for these evaluations: the last in the file. With `keep_best`, the "
            "evaluation report excludes them."
        ),
        Range(1),
    ] = 64
    keep_best: Annotated[
        bool, Doc("Publish the model with the highest validation reward instead of the model of the last step.")
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keep_best and not self.evaluate_every:
            raise ConfigurationError("keep_best: true without evaluations, expected evaluate_every of at least 1")


@dataclass(frozen=True, kw_only=True)
class GRPOConfig(RolloutConfig):
    """Group-relative policy optimization."""

    group_size: Annotated[int, Doc("Answers sampled per problem."), Range(2, 2**16)] = 8
    updates_per_rollout: Annotated[
        int,
        Doc(
            "Updates per pass over a rollout: its problems are split into this many parts, with one update each. "
            "Updates after the first are off-policy."
        ),
        Range(1),
    ] = 1
    epochs: Annotated[
        int, Doc("Passes over the responses of a step; passes after the first are off-policy."), Range(1, 1_000)
    ] = 1
    kl_estimator: Annotated[
        KLEstimator,
        Doc("Estimator of the KL penalty: k1 is subtracted from the advantages; k2 and k3 are terms of the loss."),
    ] = "k3"
    method: Annotated[Method, Doc("Policy loss per token; clip is the clipped objective of PPO and GRPO.")] = "clip"
    baseline: Annotated[
        Baseline, Doc("Baseline subtracted from each reward: group mean, leave-one-out mean, or none.")
    ] = "mean"
    normalizer: Annotated[
        Normalizer, Doc("Divisor of a group's advantages: standard deviation or mean of its rewards, or none.")
    ] = "std"
    negative_weight: Annotated[
        float,
        Doc("Factor on negative advantages; 1 is standard GRPO, smaller values emphasize correct answers."),
        Range(0),
    ] = 1.0
    normalization: Annotated[
        Normalization,
        Doc("Divisor of the summed token loss: all tokens of the batch, the tokens of each sequence, or a constant."),
    ] = "token"
    signal_floor: Annotated[
        float,
        Doc(
            "DAPO's dynamic sampling: draw more batches until groups with differing rewards make up this share of "
            "batch_size; 0 draws one batch."
        ),
        Range(0, 1),
    ] = 0.0
    most_draws: Annotated[int, Doc("Maximum number of batches drawn per step, with `signal_floor`."), Range(1)] = 4
    curriculum: Annotated[
        Curriculum,
        Doc(
            "none: shuffled epochs. pass_rate: new problems, and problems with a pass rate near one half, are drawn "
            "more often."
        ),
    ] = "none"

    @property
    def num_updates(self) -> int:
        """One for each part of each pass over a rollout."""
        return self.num_steps * self.epochs * self.updates_per_rollout

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.updates_per_rollout > self.batch_size:
            raise ConfigurationError(
                f"updates_per_rollout: {self.updates_per_rollout}, expected at most batch_size = {self.batch_size}: "
                "each update needs a problem"
            )
        if self.method in _WITHOUT_RATIO and self.epochs * self.updates_per_rollout > 1:
            raise ConfigurationError(
                f"method: {self.method} with {self.epochs * self.updates_per_rollout} updates per step (epochs × "
                "updates_per_rollout), expected 1: its loss does not weigh tokens by the ratio of the policies, and "
                "later updates are off-policy"
            )


@dataclass(frozen=True, kw_only=True)
class PPOConfig(RolloutConfig):
    """Proximal policy optimization, with a value model and an adaptive weight of the KL."""

    group_size: Annotated[int, Doc("Answers sampled per problem."), Range(1, 2**16)] = 4
    kl_weight: Annotated[
        float, Doc("Initial weight of the per-token KL penalty; 0 disables the penalty."), Range(0)
    ] = 0.05
    kl_target: Annotated[
        float, Doc("Target KL per response, in nats, of the adaptive KL weight; 0 keeps the weight constant."), Range(0)
    ] = 0.0
    kl_horizon: Annotated[
        int, Doc("Horizon of the adaptive KL weight, in responses; a shorter horizon adapts faster."), Range(1)
    ] = 10_000
    epochs: Annotated[int, Doc("Passes over the responses of a step."), Range(1, 1_000)] = 2
    updates_per_epoch: Annotated[
        int, Doc("Updates per pass: the responses are split into this many parts, with one update each."), Range(1)
    ] = 2
    value_clip: Annotated[
        float, Doc("Clip range of the value loss: maximum change from the value at sampling time."), Range(above=0)
    ] = 0.2
    value_rate: Annotated[
        float, Doc("Learning rate of the value model, as a multiple of `learning_rate`."), Range(above=0)
    ] = 1.0
    discount: Annotated[float, Doc("Discount factor γ, per token."), Range(0, 1)] = 1.0
    gae_lambda: Annotated[
        float, Doc("λ of generalized advantage estimation: 1 uses the full return, 0 the next value."), Range(0, 1)
    ] = 0.95

    @property
    def num_updates(self) -> int:
        """One for each part of each pass."""
        return self.num_steps * self.epochs * self.updates_per_epoch

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.updates_per_epoch > self.batch_size * self.group_size:
            raise ConfigurationError(
                f"updates_per_epoch: {self.updates_per_epoch}, expected at most batch_size × group_size = "
                f"{self.batch_size * self.group_size}: each update needs a response"
            )


@dataclass(frozen=True, kw_only=True)
class ReportConfig(DeviceConfig):
    """The report over all stages."""

    num_problems: Annotated[
        int, Doc("Number of held-out problems that every stage answers: the first in the file."), Range(1)
    ] = 200
    num_shown: Annotated[int, Doc("Number of problems shown with their answers."), Range(0)] = 8
    win_rate_against: Annotated[
        str, Doc("Stage that the win rates compare against; no win rates if the report lacks this stage.")
    ] = "sft"
    max_new_tokens: Annotated[int, Doc("Maximum length of an answer, in tokens."), Range(1)] = 48
    seed: Annotated[int, Doc("Seed of the samples at temperature 1."), Range(0)] = 0

    def __post_init__(self) -> None:
        settle(self, "evaluation")
