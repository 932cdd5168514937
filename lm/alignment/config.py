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

    device: Annotated[str, Doc("cpu, cuda, or auto: a GPU where there is one.")] = "auto"
    num_threads: Annotated[
        int,
        Doc("Threads of the CPU; 0 leaves torch's choice. Bytes are equal only between runs with equally many."),
        Range(0, 4_096),
    ] = 0

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True, kw_only=True)
class UpdateConfig(DeviceConfig):
    """The settings of every training on examples: its batches and its learning rate."""

    seed: Annotated[int, Doc("Draws the order of batches and every sample."), Range(0)] = 0
    num_steps: Annotated[int, Doc("Optimizer updates."), Range(1)] = 100
    batch_size: Annotated[int, Doc("Examples a step: instructions, pairs or problems."), Range(1, 2**24)] = 32
    learning_rate: Annotated[float, Doc("The highest learning rate, after the warm-up."), Range(above=0)] = 1e-4
    warmup_steps: Annotated[int, Doc("Steps until the learning rate is at its highest."), Range(0)] = 5
    final_lr_fraction: Annotated[
        float, Doc("The learning rate at the end, as a share of the highest; a cosine leads there."), Range(0, 1)
    ] = 0.1
    weight_decay: Annotated[float, Doc("Decoupled decay of matrices."), Range(0)] = 0.0
    max_gradient_norm: Annotated[float, Doc("Gradients with a larger norm are scaled down to it."), Range(above=0)] = (
        1.0
    )
    too_long: Annotated[
        TooLong,
        Doc("An example longer than the context stops the stage, is left out, or loses its end."),
    ] = "refuse"


@dataclass(frozen=True, kw_only=True)
class TuningConfig(UpdateConfig):
    """The settings of every alignment stage; each stage has its own defaults. One step is one optimizer update."""

    optimizer: Annotated[
        Optimizer,
        Doc("Muon for the layers' matrices, or AdamW for everything; both take about the same learning rate."),
    ] = "muon"
    replay_windows: Annotated[
        int, Doc("Windows of pre-training text a step, so that the language stays; 0 leaves them out."), Range(0, 2**16)
    ] = 0
    replay_weight: Annotated[
        float, Doc("Weight of the replayed text's mean loss beside the stage's own."), Range(above=0)
    ] = 1.0
    max_new_tokens: Annotated[int, Doc("Longest answer."), Range(1)] = 48
    evaluation_problems: Annotated[
        int,
        Doc(
            "Held-out problems to answer before and after; the first of the file, so that every stage answers the same."
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
    learning_rate: Annotated[float, Doc("The highest learning rate, after the warm-up."), Range(above=0)] = 5e-3
    warmup_steps: Annotated[int, Doc("Steps until the learning rate is at its highest."), Range(0)] = 10
    packing: Annotated[
        Packing, Doc("An example a row, padded, or whole examples packed into rows; the loss is the same.")
    ] = "padded"
    microbatch_size: Annotated[
        int, Doc("Examples in one forward pass; changes memory, not the gradient."), Range(1)
    ] = 64
    max_examples: Annotated[
        int | None, Doc("Take only the first so many training examples; empty takes all."), Range(1)
    ] = None
    lora_rank: Annotated[
        int,
        Doc("Rank of adapters that learn in place of the layers' maps, and are merged at the end; 0 for none."),
        Range(0),
    ] = 0
    lora_alpha: Annotated[float, Doc("An adapter's product counts alpha / rank times."), Range(above=0)] = 16.0
    neftune_alpha: Annotated[
        float, Doc("Size of NEFTune's noise on the embeddings, 5 in the paper; 0 for none."), Range(0)
    ] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lora_rank and self.optimizer == "muon":
            raise ConfigurationError("optimizer: muon with lora_rank, expected adamw: it moves whole matrices evenly")


@dataclass(frozen=True, kw_only=True)
class DPOConfig(TuningConfig):
    """Direct preference optimization."""

    num_steps: Annotated[int, Doc("Optimizer updates."), Range(1)] = 60
    learning_rate: Annotated[float, Doc("The highest learning rate, after the warm-up."), Range(above=0)] = 1e-3
    beta: Annotated[float, Doc("How strongly the policy is held to the reference."), Range(above=0)] = 0.1
    saturation: Annotated[
        float,
        Doc(
            "Stop when the mean preference loss of the last ten steps is below this: the pairs are told apart; 0 never."
        ),
        Range(0),
    ] = 0.0
    loss: Annotated[PreferenceLoss, Doc("Of a pair's margin: sigmoid is DPO's.")] = "sigmoid"
    label_smoothing: Annotated[
        float,
        Doc("Share of pairs whose responses may have been swapped; for the sigmoid loss."),
        Range(0, below=0.5),
    ] = 0.0
    length_normalized: Annotated[
        bool, Doc("Compare mean log-probabilities of tokens instead of sums over responses.")
    ] = False
    sft_weight: Annotated[
        float, Doc("Weight of the chosen answer's own likelihood in the loss; 0 is plain DPO."), Range(0)
    ] = 1.0


@dataclass(frozen=True, kw_only=True)
class SamplingConfig(DeviceConfig):
    """The settings of samples that a model draws to training prompts."""

    num_problems: Annotated[int, Doc("Training prompts to answer: the first of the file."), Range(1)] = 256
    num_samples: Annotated[int, Doc("Answers sampled to each prompt."), Range(1, 2**16)] = 4
    temperature: Annotated[float, Doc("Of the samples."), Range(0.01, 100)] = 1.0
    max_new_tokens: Annotated[int, Doc("Longest answer."), Range(1)] = 48
    seed: Annotated[int, Doc("Draws the samples."), Range(0)] = 0


@dataclass(frozen=True, kw_only=True)
class PairsConfig(SamplingConfig):
    """Preference pairs of a model's own samples."""

    source: Annotated[
        PairSource, Doc("A pair is of a right and a wrong sample, or of two samples that a judging model compares.")
    ] = "verifier"
    prompts: Annotated[
        PairPrompts, Doc("Training prompts that are answered for a judge; the verifier takes problems.")
    ] = "problems"
    judge: Annotated[JudgeConfig, Doc("The judging model, where it is the source.")] = field(
        default_factory=JudgeConfig
    )
    num_samples: Annotated[
        int, Doc("Answers sampled to each prompt; a judge compares the first two that differ."), Range(2, 2**16)
    ] = 4

    def __post_init__(self) -> None:
        settle(self, "preference_pairs")
        if self.source == "judge":
            self.judge.check_complete()
        elif self.prompts != "problems":
            raise ConfigurationError(
                f"prompts: {self.prompts} with source verifier, expected problems: only they have answers to verify"
            )


@dataclass(frozen=True, kw_only=True)
class RewardModelConfig(UpdateConfig):
    """A Bradley–Terry reward model, trained by AdamW."""

    batch_size: Annotated[int, Doc("Pairs a step."), Range(1, 2**24)] = 32
    learning_rate: Annotated[float, Doc("The highest learning rate, after the warm-up."), Range(above=0)] = 1e-3


@dataclass(frozen=True, kw_only=True)
class RolloutConfig(TuningConfig):
    """The settings of stages that learn from their own samples: a step draws problems, samples answers, and updates."""

    num_steps: Annotated[int, Doc("Rollouts of a batch of problems."), Range(1)] = 90
    batch_size: Annotated[int, Doc("Problems a step."), Range(1, 2**24)] = 64
    learning_rate: Annotated[float, Doc("The highest learning rate, after the warm-up."), Range(above=0)] = 1e-3
    group_size: Annotated[int, Doc("Answers sampled to each problem."), Range(1, 2**16)] = 8
    temperature: Annotated[float, Doc("Of the samples."), Range(0.01, 100)] = 1.0
    microbatch_size: Annotated[
        int, Doc("Responses in one forward pass; changes memory, not the gradient."), Range(1)
    ] = 128
    clip_low: Annotated[float, Doc("How far the probability ratio may fall below 1."), Range(0, 1)] = 0.2
    clip_high: Annotated[float, Doc("How far the probability ratio may rise above 1."), Range(0)] = 0.2
    kl_weight: Annotated[
        float, Doc("Weight of the divergence from the model that training starts from; 0 leaves it out."), Range(0)
    ] = 0.0
    patience: Annotated[
        int,
        Doc(
            "Stop with an error when no response has earned a reward in the first so many steps, or in the whole of a "
            "shorter run; 0 never."
        ),
        Range(0),
    ] = 20
    mask_truncated: Annotated[
        bool, Doc("Leave responses that reached max_new_tokens out of the loss; they still count in their group.")
    ] = False
    format_reward: Annotated[float, Doc("For a well-formed wrong answer; a right one has 1."), Range(0, below=1)] = 0.0
    evaluate_every: Annotated[
        int,
        Doc("Steps between two evaluations on the validation problems, the last step beside; 0 for none."),
        Range(0),
    ] = 0
    validation_problems: Annotated[
        int,
        Doc(
            "Held-out problems of these evaluations: the last of the file, which no report answers where they choose "
            "the model."
        ),
        Range(1),
    ] = 64
    keep_best: Annotated[
        bool, Doc("Publish the model of the evaluation with the highest reward, instead of the last step's.")
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keep_best and not self.evaluate_every:
            raise ConfigurationError("keep_best: true without evaluations, expected evaluate_every of at least 1")


@dataclass(frozen=True, kw_only=True)
class GRPOConfig(RolloutConfig):
    """Group-relative policy optimization."""

    group_size: Annotated[int, Doc("Answers sampled to each problem."), Range(2, 2**16)] = 8
    updates_per_rollout: Annotated[
        int,
        Doc(
            "Into how many parts a step's problems are divided, with one update on each; the later ones are off-policy."
        ),
        Range(1),
    ] = 1
    epochs: Annotated[
        int, Doc("Passes over the responses of a step; those after the first are off-policy."), Range(1, 1_000)
    ] = 1
    kl_estimator: Annotated[
        KLEstimator, Doc("k1 is subtracted from the advantages, k2 and k3 are terms of the loss.")
    ] = "k3"
    method: Annotated[Method, Doc("The loss of a token; clip is GRPO's and PPO's.")] = "clip"
    baseline: Annotated[Baseline, Doc("What of its group is subtracted from a response's reward.")] = "mean"
    normalizer: Annotated[Normalizer, Doc("What of its rewards a group's advantages are divided by.")] = "std"
    negative_weight: Annotated[
        float,
        Doc("What advantages below 0 are multiplied by: 1 is plain GRPO, less leans on what went right."),
        Range(0),
    ] = 1.0
    normalization: Annotated[
        Normalization, Doc("What the summed loss of tokens is divided by: all tokens, each sequence's, or a constant.")
    ] = "token"
    signal_floor: Annotated[
        float,
        Doc(
            "Draw further batches of problems into a step until this share of batch_size has groups whose rewards "
            "differ: DAPO's dynamic sampling; 0 draws once."
        ),
        Range(0, 1),
    ] = 0.0
    most_draws: Annotated[int, Doc("Batches that a step draws at most, where signal is rare."), Range(1)] = 4
    curriculum: Annotated[
        Curriculum,
        Doc(
            "none draws problems in shuffled epochs; pass_rate draws new ones, and those that are right about half of "
            "the time, more often."
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
                "an update needs a problem"
            )
        if self.method in _WITHOUT_RATIO and self.epochs * self.updates_per_rollout > 1:
            raise ConfigurationError(
                f"method: {self.method} with {self.epochs * self.updates_per_rollout} updates a step (epochs × "
                "updates_per_rollout), expected 1: its loss does not weigh tokens by the ratio of the policies, and "
                "later updates are off-policy"
            )


@dataclass(frozen=True, kw_only=True)
class PPOConfig(RolloutConfig):
    """Proximal policy optimization, with a value model and an adaptive weight of the KL."""

    group_size: Annotated[int, Doc("Answers sampled to each problem."), Range(1, 2**16)] = 4
    kl_weight: Annotated[
        float, Doc("Weight of the KL that each token's reward loses, at first; 0 leaves it out."), Range(0)
    ] = 0.05
    kl_target: Annotated[
        float, Doc("KL of a response, in nats, near which the weight adapts to hold it; 0 keeps the weight."), Range(0)
    ] = 0.0
    kl_horizon: Annotated[int, Doc("Responses over which the weight adapts; fewer adapt faster."), Range(1)] = 10_000
    epochs: Annotated[int, Doc("Passes over the responses of a step."), Range(1, 1_000)] = 2
    updates_per_epoch: Annotated[int, Doc("Into how many parts each pass divides the responses."), Range(1)] = 2
    value_clip: Annotated[float, Doc("How far a value may leave the one that was drawn with."), Range(above=0)] = 0.2
    value_rate: Annotated[float, Doc("The value model's learning rate, as a multiple."), Range(above=0)] = 1.0
    discount: Annotated[float, Doc("Gamma: what a reward is worth one token earlier."), Range(0, 1)] = 1.0
    gae_lambda: Annotated[
        float, Doc("Of generalized advantages: 1 trusts the rewards, 0 the next value."), Range(0, 1)
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
                f"{self.batch_size * self.group_size}: an update needs a response"
            )


@dataclass(frozen=True, kw_only=True)
class ReportConfig(DeviceConfig):
    """The report over all stages."""

    num_problems: Annotated[
        int, Doc("Held-out problems that every stage answers: the first of the file."), Range(1)
    ] = 200
    num_shown: Annotated[int, Doc("Problems whose answers are shown."), Range(0)] = 8
    win_rate_against: Annotated[
        str, Doc("Stage that every stage's answers are compared with; no win rate where it is not among them.")
    ] = "sft"
    max_new_tokens: Annotated[int, Doc("Longest answer."), Range(1)] = 48
    seed: Annotated[int, Doc("Draws the samples at temperature 1."), Range(0)] = 0

    def __post_init__(self) -> None:
        settle(self, "evaluation")
