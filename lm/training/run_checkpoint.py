"""Checkpoints of a pre-training run: its whole state, so that going on is as if it had never stopped.

    WORK/checkpoints/step-NNNNNNNN/    model.safetensors, optimizer.safetensors, state.json, metrics.jsonl

Where ranks keep shares of the state, each writes its part (`lm.training.state_parts`), and rank 0 publishes them all.

A snapshot is copied to the host's memory first, so that it cannot tear while the run moves on; `CheckpointWriter`
writes it. The manifest holds the run's configuration and the digests of its inputs: another run's checkpoint is
refused, field by field.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lm.configuration import from_mapping
from lm.errors import ConfigurationError, InputError, IntegrityError
from lm.model.files import save_tensors
from lm.storage import MANIFEST, Artifact, open_artifact, publish, write_json
from lm.training.checkpoint import (
    MOMENTS,
    STATE,
    WEIGHTS,
    apply_state,
    module_state,
    optimizer_state,
    verify,
)
from lm.training.config import FREE_TO_CHANGE, PretrainConfig
from lm.training.metrics import METRICS, MetricsLog, Report
from lm.training.reading_order import ChatDecay, decay_of_run
from lm.training.schedule import scheduled_rate
from lm.training.state_parts import PARTS, Slices, collect_parts, write_part
from lm.training.trainer import Trainer

KIND = "checkpoint"
_NAME = re.compile(r"step-(\d{8,})")
_SCHEDULE = frozenset(
    f"config.{name}"
    for name in (
        "num_steps",
        "num_tokens",
        "schedule",
        "decay_share",
        "decay_chat_share",
        "final_lr_fraction",
        "warmup_steps",
    )
)
_CHAT_INPUT = "inputs.chat"
_ANY_VOCABULARY = 512


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run between two steps, in memory of its own."""

    step: int
    weights: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]
    state: Mapping[str, Any]
    log: MetricsLog
    slices: Slices = field(default_factory=dict)
    rank: int = 0
    num_parts: int = 1
    """1 where rank 0 has the whole state, else the number of ranks."""


def take_snapshot(trainer: Trainer, log: MetricsLog, tokenizer_digest: str = "") -> Snapshot:
    """Copy this rank's share of the run's state to the host's memory."""
    moments, facts = optimizer_state(trainer.replicas.held, trainer.optimizer)
    state = {
        "step": trainer.step,
        "tokens": trainer.tokens,
        "num_skipped": trainer.num_skipped,
        "losses": trainer.spikes.state(),
        "loss_scale": None if trainer.scaler is None else trainer.scaler.state(),
        "loader": trainer.loader.state(),
        "random": _random_state(),
        "optimizer": facts,
        "tokenizer_digest": tokenizer_digest,
    }
    replicas = trainer.replicas
    slices = replicas.slices()
    return Snapshot(
        step=trainer.step,
        weights=_copied(module_state(replicas.held)) if replicas.keeps_state and (slices or replicas.rank == 0) else {},
        moments=_copied(moments) if replicas.keeps_state else {},
        state=state,
        log=log.copy(),
        slices=slices,
        rank=replicas.rank,
        num_parts=replicas.num_ranks if replicas.shares_state else 1,
    )


def write_snapshot(
    folder: Path,
    snapshot: Snapshot,
    *,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    code: str,
    check: Callable[[], None] = lambda: None,
) -> Artifact | None:
    """Publish a snapshot as `folder/step-NNNNNNNN`, read it back and compare every byte's digest. A rank other than 0
    writes its part for rank 0, which waits for all parts; `check` may raise to end the waiting.
    """
    target, parts = folder / f"step-{snapshot.step:08d}", folder / PARTS / f"step-{snapshot.step:08d}"
    if snapshot.rank:
        _write_part(parts, snapshot)
        return None
    with publish(target, kind=KIND, config=config, inputs=inputs, code=code) as publication:
        if snapshot.num_parts > 1:
            _write_part(publication.path, snapshot)
            collect_parts(parts, publication.path, snapshot.num_parts, check)
        else:
            save_tensors(publication.path / WEIGHTS, dict(snapshot.weights))
            save_tensors(publication.path / MOMENTS, dict(snapshot.moments))
        write_json(publication.path / STATE, snapshot.state)
        snapshot.log.write(publication.path / METRICS)
        publication.summary["step"] = snapshot.step
    written = open_artifact(target, kind=KIND)
    verify(written)
    return written


def _write_part(folder: Path, snapshot: Snapshot) -> None:
    tensors, numbers = {WEIGHTS: snapshot.weights, MOMENTS: snapshot.moments}, snapshot.state["optimizer"]["numbers"]
    write_part(folder, snapshot.rank, snapshot.num_parts, tensors, numbers, snapshot.slices)


def restore_run(checkpoint: Artifact, trainer: Trainer, log: MetricsLog) -> None:
    """Put `trainer` and `log` into the state that `checkpoint` holds.

    Raises:
        IntegrityError: its bytes changed.
        InputError: its tensors are not those of this model and optimizer.
    """
    verify(checkpoint)
    state = json.loads(checkpoint.file(STATE).read_bytes())
    apply_state(checkpoint, trainer.replicas.held, trainer.optimizer, state["optimizer"], trainer.replicas.slices())
    trainer.step, trainer.tokens, trainer.num_skipped = state["step"], state["tokens"], state["num_skipped"]
    trainer.spikes.restore(state["losses"])
    if trainer.scaler is not None:
        trainer.scaler.restore(state["loss_scale"])
    trainer.loader.restore(state["loader"])
    _restore_random_state(state["random"])
    log.read(checkpoint.file(METRICS))


def checkpoint_folders(folder: Path) -> list[Path]:
    """Return published checkpoints, the newest first; a folder without a manifest is a write that was killed."""
    found = [path for path in folder.glob("step-*") if _NAME.fullmatch(path.name) and (path / MANIFEST).exists()]
    return sorted(found, key=step_of, reverse=True)


def step_of(path: Path) -> int:
    """Return the step in a checkpoint's name."""
    return int(path.name.removeprefix("step-"))


def delete_checkpoint(path: Path) -> None:
    """Remove a checkpoint, its manifest first, so that half of one is never taken for whole."""
    (path / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(path)


def newest_checkpoint(folder: Path, report: Report) -> Artifact | None:
    """Return the newest whole checkpoint below `folder`; a damaged one is reported and passed over.

    Raises:
        IntegrityError: there are checkpoints and none is whole; starting over silently would throw the run away.
    """
    damage: IntegrityError | None = None
    for path in checkpoint_folders(folder):
        try:
            checkpoint = open_artifact(path, kind=KIND)
            verify(checkpoint)
            return checkpoint
        except IntegrityError as error:
            damage = damage or error
            report({"message": f"checkpoint skipped: {error}"})
    if damage is not None:
        raise damage
    return None


def is_of_run(path: Path, identity: Mapping[str, Any]) -> bool:
    """Return whether a checkpoint was written under exactly this configuration, from these inputs, by this code."""
    try:
        found = open_artifact(path, kind=KIND)
    except (IntegrityError, InputError):
        return False
    return {"config": found.config, "inputs": found.inputs, "code": found.code} == dict(identity)


def refuse_other_run(
    checkpoint: Artifact, config: Mapping[str, Any], inputs: Mapping[str, str], *, of_another: bool = False
) -> None:
    """Check that the checkpoint is of the run with this configuration and these inputs. The rest of the schedule may
    differ, so that a wsd run can be continued from its flat part: the rates and the windows of all steps so far must be
    the same.
    `of_another` run leaves out where the runs started from.

    Raises:
        ConfigurationError: names every field that differs, and how to start over.
    """
    then = _flatten({"config": checkpoint.config, "inputs": checkpoint.inputs})
    now = _flatten({"config": config, "inputs": inputs})
    free = FREE_TO_CHANGE | ({"init_from", "init_state"} if of_another else frozenset())
    differing = [
        name
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name) and name.rsplit(".", 1)[-1] not in free
    ]
    if not differing:
        return
    if _course_is_the_same(differing, checkpoint.config, config, step_of(checkpoint.path)):
        return
    changes = [f"{name.removeprefix('config.')} was {then.get(name)!r}, is {now.get(name)!r}" for name in differing]
    raise ConfigurationError(
        f"{checkpoint.path}: checkpoint of another run: {'; '.join(changes)}; "
        f"expected the same, or delete {Path(checkpoint.path).parent} to start over"
    )


def _course_is_the_same(
    differing: Sequence[str], then: Mapping[str, Any], now: Mapping[str, Any], last_step: int
) -> bool:
    """Return whether two runs that differ in their schedules, or in their chat text, alone have the same learning rate
    and the same windows in every step so far."""
    if not _SCHEDULE.union([_CHAT_INPUT]).issuperset(differing):
        return False
    rates: list[list[float]] = []
    decays: list[ChatDecay | None] = []
    """The chat text so far; None before the first of it."""
    for values in (then, now):
        config = from_mapping(PretrainConfig, values)
        num_steps = config.steps(config.model_config(_ANY_VOCABULARY).context_length)
        rates.append([scheduled_rate(config, step, num_steps) for step in range(1, last_step + 1)])
        decay = decay_of_run(config, num_steps)
        decays.append(decay if decay is not None and decay.num_chat(last_step * config.batch_size) else None)
        if num_steps < last_step:
            return False
    return rates[0] == rates[1] and decays[0] == decays[1] and not (_CHAT_INPUT in differing and decays[0])


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


def _random_state() -> dict[str, str]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return {name: state.numpy().tobytes().hex() for name, state in states.items()}


def _restore_random_state(states: Mapping[str, str]) -> None:
    torch.set_rng_state(_bytes_of(states["cpu"]))
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(_bytes_of(states["cuda"]))


def _bytes_of(text: str) -> Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: value}
    return {
        name: leaf
        for key, item in value.items()
        for name, leaf in _flatten(item, f"{prefix}.{key}".lstrip(".")).items()
    }
