"""The policy of the alignment stages: its optimizer steps, its metrics, its held-out answers, its artifact."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from lm.alignment.config import RolloutConfig, TuningConfig
from lm.alignment.data import GENERATIONS
from lm.alignment.generations import write_generations
from lm.alignment.lengths import LengthLimit
from lm.alignment.replay import Replay
from lm.alignment.scalar_head import ScalarHead
from lm.alignment.stage_checkpoint import StageCheckpoint, StagePart, StageState
from lm.chat.records import Problem
from lm.chat.template import encode_prompt
from lm.code_version import code_digest
from lm.configuration import to_mapping
from lm.errors import ConfigurationError, InputError, Interrupted, NonFiniteError, check_finite_scores
from lm.evaluation.answers import JudgedAnswer, evaluate_answers
from lm.model import TransformerLM, choose_device, load_model, save_model
from lm.model.files import save_tensors
from lm.storage import Artifact, find_whole, fingerprint, open_artifact, publish, sha256_of, write_json
from lm.tokenizer import Tokenizer
from lm.training.clipping import clip_gradients
from lm.training.compute import prepare
from lm.training.metrics import METRICS, work_folder
from lm.training.muon import Muon
from lm.training.optimizers import AdamW
from lm.training.parameter_groups import make_parameter_groups, set_learning_rate
from lm.training.schedule import cosine_schedule
from lm.training.stop import StopSignals
from lm.training.tensorboard import TensorBoard

Report = Callable[[Mapping[str, object]], None]
ADAPTER = "adapter.safetensors"


def silent(event: Mapping[str, object]) -> None:
    """Drop a report."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A model with its tokenizer, and the text that it is not to forget.

    In a stage also the stage's `work` folder, and the digests of its `inputs` by name: model, tokenizer, data.
    """

    model: TransformerLM
    tokenizer: Tokenizer
    replay: Replay | None = None
    work: Path = Path()
    inputs: Mapping[str, str] = field(default_factory=dict)

    def length_limit(self, config: TuningConfig) -> LengthLimit:
        """Return the rule for examples that are longer than the model's context."""
        return LengthLimit(self.model.config.context_length + 1, config.too_long)

    def evaluate(self, problems: Sequence[Problem], config: TuningConfig) -> tuple[dict[str, Any], list[JudgedAnswer]]:
        """Run `evaluate_answers` on the first `evaluation_problems` of the held-out problems.

        Where `too_long` does not refuse them, prompts that fill the context are left out.
        """
        if config.too_long != "refuse":
            longest = self.model.config.context_length - 1
            problems = [each for each in problems if len(encode_prompt(self.tokenizer, each.prompt)) <= longest]
        chosen = problems[: config.evaluation_problems]
        return evaluate_answers(
            self.model.eval(), self.tokenizer, chosen, max_new_tokens=config.max_new_tokens, seed=config.seed
        )


class Tuner:
    """The optimizer with warm-up, cosine decay and clipping, one `step` at a time; experts are balanced, and learning
    rates scaled by the width, as in pre-training."""

    def __init__(
        self,
        model: TransformerLM,
        config: TuningConfig,
        replay: Replay | None = None,
        critic: ScalarHead | None = None,
        critic_rate: float = 1.0,
    ) -> None:
        """Args:
        critic: a second model that learns beside the first, with its own clipping.
        critic_rate: its learning rate, as a multiple.
        """
        self._model, self._config, self._replay, self._critic = model, config, replay, critic
        settings: dict[str, Any] = {"lr": config.learning_rate, "betas": (0.9, 0.99)}
        groups = self._groups(model)
        if critic is not None:
            head = {"params": [critic.head.weight], "weight_decay": 0.0, "lr_scale": 1.0, "orthogonal": False}
            both = [*self._groups(critic.backbone), {**head, "role": "lm_head"}]
            groups += [{**group, "lr_scale": critic_rate * group["lr_scale"]} for group in both]
        self._optimizer = (Muon if config.optimizer == "muon" else AdamW)(groups, **settings)
        self._step = 0
        self.parts: Mapping[str, StagePart] = {}
        """What else a checkpoint of the stage holds, by name."""

    def _groups(self, model: TransformerLM) -> list[dict[str, Any]]:
        config = self._config
        return make_parameter_groups(
            model, config.weight_decay, optimizer=config.optimizer, width_ratio=model.config.width_ratio
        )

    @property
    def _trained(self) -> nn.Module:
        """All that a checkpoint holds."""
        return self._model if self._critic is None else nn.ModuleDict({"policy": self._model, "critic": self._critic})

    def step(self) -> dict[str, float]:
        """Update the weights by the gradients that were accumulated and those of the replay, and clear them; gives the
        learning rate, the norm before clipping and the loss of the replay.

        Raises:
            NonFiniteError: the norm is not finite; the weights are as before.
        """
        config = self._config
        replayed = {} if self._replay is None else {"replay_loss": self._replay.accumulate()}
        rate = cosine_schedule(
            self._step + 1,  # the schedule is 0 at 0, and no step is to be idle
            config.learning_rate,
            config.learning_rate * config.final_lr_fraction,
            config.warmup_steps,
            config.num_updates,
        )
        trained: dict[str, nn.Module] = {"gradient_norm": self._model}
        if self._critic is not None:
            trained["value_gradient_norm"] = self._critic
        most = config.max_gradient_norm
        norms = {name: float(clip_gradients(module.parameters(), most)) for name, module in trained.items()}
        if wrong := [norm for norm in norms.values() if not math.isfinite(norm)]:
            raise NonFiniteError(
                f"step {self._step}: gradient norm is {wrong[0]}; lower learning_rate ({config.learning_rate})"
            )
        set_learning_rate(self._optimizer, rate)
        self._optimizer.step()
        for network in (self._model, *([] if self._critic is None else [self._critic.backbone])):
            network.balance_experts()
        self._optimizer.zero_grad(set_to_none=True)
        self._step += 1
        return {"learning_rate": rate, **norms, **replayed}

    def save(self, checkpoint: StageCheckpoint, rows: Sequence[dict[str, Any]]) -> None:
        """Save weights, moments, counters, parts and the log's `rows`."""
        replay = None if self._replay is None else self._replay.state()
        states = {name: part.state() for name, part in self.parts.items()}
        tensors = {
            f"{name}/{key}": tensor for name, part in self.parts.items() for key, tensor in part.tensors().items()
        }
        checkpoint.save(self._trained, self._optimizer, StageState(self._step, replay, rows, states, tensors))

    def restore(self, checkpoint: StageCheckpoint) -> list[dict[str, Any]]:
        """Go on from what `save` wrote, if there is any; return the rows of the log."""
        state = checkpoint.load(self._trained, self._optimizer)
        if state is None:
            return []
        self._step = state.updates
        if self._replay is not None and state.replay is not None:
            self._replay.restore(state.replay)
        for name, part in self.parts.items():
            own = {key.removeprefix(f"{name}/"): t for key, t in state.tensors.items() if key.startswith(f"{name}/")}
            part.restore(state.parts[name], own)
        return list(state.rows)


class Resumable(Protocol):
    """The trained part of a stage, which a checkpoint holds: a `Tuner`, or one of another kind."""

    def save(self, checkpoint: StageCheckpoint, rows: Sequence[dict[str, Any]]) -> None:
        """Save weights, moments, counters and the log's `rows`."""
        ...

    def restore(self, checkpoint: StageCheckpoint) -> list[dict[str, Any]]:
        """Go on from what `save` wrote, if there is any; return the rows of the log."""
        ...


class StepLog:
    """`metrics.jsonl`, one object a step, which go to `report` and to TensorBoard in the work folder too; and the
    boundary at which a signal ends the stage."""

    def __init__(
        self,
        path: Path,
        report: Report,
        signals: StopSignals,
        checkpoint: StageCheckpoint | None = None,
        work: Path | None = None,
    ) -> None:
        self._stream = path.open("w", encoding="utf-8")
        self._report, self._signals, self._checkpoint, self._work = report, signals, checkpoint, work
        self._tuner: Resumable | None = None
        self._board: TensorBoard | None = None
        self.rows: list[dict[str, Any]] = []
        """The events so far, those before an interruption included."""

    def resume(self, tuner: Resumable) -> int:
        """Put the tuner where an interrupted run of this stage left it; return the number of steps that are done."""
        self._tuner = tuner
        if self._checkpoint is not None:
            self.rows = tuner.restore(self._checkpoint)
            self._stream.writelines(json.dumps(row, sort_keys=True) + "\n" for row in self.rows)
        return len(self.rows)

    def __call__(self, step: int, numbers: Mapping[str, float]) -> None:
        """Note one step's numbers.

        Raises:
            Interrupted: SIGTERM or SIGINT came since the step before.
        """
        event: dict[str, Any] = {"step": step, **numbers}
        self.rows.append(event)
        self._stream.write(json.dumps(event, sort_keys=True) + "\n")
        self._report(event)
        if self._board is None and self._work is not None:
            self._work.mkdir(parents=True, exist_ok=True)
            self._board = TensorBoard(self._work / "tensorboard", step)
        if self._board is not None:
            self._board.add(event)
        self.check_signals(f"after step {step}")
        if self._checkpoint is not None and self._checkpoint.is_due():
            self._save()

    def check_signals(self, when: str) -> None:
        """Save the stage and raise `Interrupted` if a signal came."""
        if (number := self._signals.received) is not None:
            self._save()
            raise Interrupted(
                f"stopped by {signal.Signals(number).name} {when}; nothing was published, run again to resume", number
            )

    def _save(self) -> None:
        if self._checkpoint is not None and self._tuner is not None:
            self._tuner.save(self._checkpoint, self.rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if self._board is not None:
            self._board.close()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of a stage: figures for `evaluation.json` and the summary, held-out answers for the generation log,
    and adapters that are to be kept beside the model."""

    evaluation: Mapping[str, Any]
    answers: Sequence[JudgedAnswer]
    adapters: Mapping[str, Tensor] = field(default_factory=dict)


def tune_to_artifact(
    stage: str,
    config: TuningConfig,
    tune: Callable[[Policy, StepLog], Outcome],
    *,
    model: Path,
    tokenizer: Path,
    data: Path,
    output: Path,
    shards: Path | None = None,
    more_inputs: Mapping[str, Path] | None = None,
    report: Report,
) -> Artifact:
    """Load the policy, `tune` it, publish it at `output`; gives back what is there already if its work was the same.

    Args:
        more_inputs: further artifacts that shape the stage.

    Raises:
        InputError: an input is missing or damaged, or the model was trained with another tokenizer.
        Interrupted: stopped by a signal; nothing is published, and the next call goes on from there.
    """
    if config.replay_windows and shards is None:
        raise ConfigurationError(
            f"replay_windows: {config.replay_windows} without token shards to read them from, expected 0 or `shards`"
        )
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    started_from, vocabulary = open_artifact(model), Tokenizer.load(tokenizer)
    inputs = {"model": started_from.digest, "tokenizer": vocabulary.digest, "data": _digest(data)}
    inputs |= {name: open_artifact(path).digest for name, path in (more_inputs or {}).items()}
    corpus = open_artifact(shards) if shards is not None and config.replay_windows else None
    if corpus is not None:
        inputs["shards"] = corpus.digest
    kind, settings, code = f"{stage}_model", to_mapping(config), code_digest(tune)
    identity = fingerprint(kind, settings, inputs, code)
    if (whole := find_whole(output, identity)) is not None:
        return whole
    work = work_folder(output)
    checkpoint = StageCheckpoint(work, identity)
    network, _ = load_model(started_from, choose_device(config.device), vocabulary.digest)
    prepare(network, precision=config.precision, compile=config.compile, recomputation=config.recomputation)
    replay = None if corpus is None else Replay.of(config, corpus, network, vocabulary.digest)
    if config.warmup_steps >= config.num_updates:
        short = f"warmup_steps {config.warmup_steps} of {config.num_updates} updates"
        report({"message": f"{short}: the learning rate does not reach {config.learning_rate:g}"})
    publication_of = publish(output, kind=kind, config=settings, inputs=inputs, code=code)
    with StopSignals() as signals, publication_of as publication:
        with StepLog(publication.path / METRICS, report, signals, checkpoint, work) as log:
            outcome = tune(Policy(network, vocabulary, replay, work, inputs), log)
            log.check_signals("after the last step")
        check_finite_scores(outcome.evaluation, f"{stage}: evaluation after the last step")
        save_model(publication.path, network, vocabulary.digest)
        if outcome.adapters:
            save_tensors(publication.path / ADAPTER, dict(outcome.adapters))
        partly = config.format_reward if isinstance(config, RolloutConfig) else 0.0
        log_at = publication.path / GENERATIONS
        means = write_generations(log_at, network, vocabulary, outcome.answers, partly)
        evaluation = {**outcome.evaluation, **({"generations": means} if outcome.answers else {})}
        check_finite_scores(evaluation, f"{stage}: answers after the last step")
        write_json(publication.path / "evaluation.json", evaluation)
        publication.summary.update(evaluation)
    checkpoint.clear()
    return publication.artifact


def check_finite(loss: Tensor, step: int) -> None:
    """Stop before a loss that is not finite reaches the weights.

    Raises:
        NonFiniteError: names the step.
    """
    if not torch.isfinite(loss):
        raise NonFiniteError(f"step {step}: loss is {loss.item()}; the weights are from the previous step")


def _digest(data: Path) -> str:
    if not data.is_file():
        raise InputError(f"{data}: no such file, expected JSON Lines")
    return sha256_of(data)
