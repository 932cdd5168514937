"""Checkpoints: the whole state of a run as a published artifact, so that going on is as if it had never stopped.

    WORK/checkpoints/step-NNNNNNNN/    model.safetensors, optimizer.safetensors, state.json, metrics.jsonl

Decisions:
- Published through `lm.storage`: a killed writer leaves the checkpoint before it; a flipped bit is refused at open.
- An older checkpoint is deleted only after every byte of the new one was read back and matched its sha256.
- The manifest holds the run's configuration and the digests of its inputs: another run's checkpoint is refused, field
  by field.
- No pickle: tensors in safetensors, numbers in JSON.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lm.errors import ConfigurationError, InputError, IntegrityError
from lm.model.files import load_state, load_tensors, model_state, save_tensors
from lm.storage import MANIFEST, Artifact, open_artifact, publish, write_json
from lm.training.config import FREE_TO_CHANGE
from lm.training.metrics import MetricsLog, Report
from lm.training.trainer import Trainer

_KIND = "checkpoint"
_NAME = re.compile(r"step-(\d{8,})")


def save_checkpoint(
    folder: Path, trainer: Trainer, log: MetricsLog, *, config: Mapping[str, Any], inputs: Mapping[str, str], code: str
) -> Artifact:
    """Publish the state of `trainer` as `folder/step-NNNNNNNN`, read it back, then delete all but the newest few."""
    target = folder / f"step-{trainer.step:08d}"
    with publish(target, kind=_KIND, config=config, inputs=inputs, code=code) as publication:
        save_tensors(publication.path / "model.safetensors", model_state(trainer.model))
        save_tensors(publication.path / "optimizer.safetensors", _optimizer_state(trainer))
        write_json(publication.path / "state.json", _counters(trainer))
        log.write(publication.path / "metrics.jsonl")
        publication.summary["step"] = trainer.step
    verify(open_artifact(target))
    for old in _folders(folder)[trainer.config.keep_checkpoints :]:
        _delete(old)
    return publication.artifact


def load_checkpoint(checkpoint: Artifact, trainer: Trainer, log: MetricsLog) -> None:
    """Put `trainer` and `log` into the state that `checkpoint` holds.

    Raises:
        IntegrityError: its bytes changed.
        InputError: its tensors are not those of this model and optimizer.
    """
    verify(checkpoint)
    weights = checkpoint.file("model.safetensors")
    load_state(trainer.model, load_tensors(weights), str(weights))
    _restore_optimizer(trainer, checkpoint.file("optimizer.safetensors"))
    state = json.loads(checkpoint.file("state.json").read_bytes())
    trainer.step, trainer.tokens, trainer.num_skipped = state["step"], state["tokens"], state["num_skipped"]
    trainer.spikes.restore(state["losses"])
    if trainer.scaler is not None:
        trainer.scaler.restore(state["loss_scale"])
    trainer.loader.restore(state["loader"])
    _restore_random_state(state["random"])
    log.read(checkpoint.file("metrics.jsonl"))


def newest_checkpoint(folder: Path, report: Report) -> Artifact | None:
    """The newest whole checkpoint below `folder`; a damaged one is reported and passed over.

    Raises:
        IntegrityError: there are checkpoints and none is whole; starting over silently would throw the run away.
    """
    damage: IntegrityError | None = None
    for path in _folders(folder):
        try:
            checkpoint = open_artifact(path, kind=_KIND)
            verify(checkpoint)
            return checkpoint
        except IntegrityError as error:
            damage = damage or error
            report({"message": f"checkpoint passed over: {error}"})
    if damage is not None:
        raise damage
    return None


def verify(checkpoint: Artifact) -> None:
    """Read every file and compare its sha256.

    Raises:
        IntegrityError: names the file, the expected and the actual digest.
    """
    for name in checkpoint.names():
        checkpoint.file(name)


def refuse_other_run(checkpoint: Artifact, config: Mapping[str, Any], inputs: Mapping[str, str]) -> None:
    """Check that the checkpoint is of the run with this configuration and these inputs.

    Raises:
        ConfigurationError: names every field that differs, and how to start over.
    """
    then = _flatten({"config": checkpoint.config, "inputs": checkpoint.inputs})
    now = _flatten({"config": config, "inputs": inputs})
    differing = [
        f"{name.removeprefix('config.')} was {then.get(name)!r}, is {now.get(name)!r}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name) and name.rsplit(".", 1)[-1] not in FREE_TO_CHANGE
    ]
    if differing:
        raise ConfigurationError(
            f"{checkpoint.path}: checkpoint of another run: {'; '.join(differing)}; "
            f"expected the same, or delete {checkpoint.path.parent} to start over"
        )


def _counters(trainer: Trainer) -> dict[str, Any]:
    return {
        "step": trainer.step,
        "tokens": trainer.tokens,
        "num_skipped": trainer.num_skipped,
        "losses": trainer.spikes.state(),
        "loss_scale": None if trainer.scaler is None else trainer.scaler.state(),
        "loader": trainer.loader.state(),
        "random": _random_state(),
    }


def _optimizer_state(trainer: Trainer) -> dict[str, Tensor]:
    """`NAME/KEY`: what the optimizer keeps for each weight, plain numbers as 0-dimensional tensors."""
    return {
        f"{name}/{key}": value if isinstance(value, Tensor) else torch.tensor(value)
        for name, parameter in trainer.model.named_parameters()
        for key, value in trainer.optimizer.state[parameter].items()
    }


def _restore_optimizer(trainer: Trainer, path: Path) -> None:
    parameters = dict(trainer.model.named_parameters())
    for name, value in load_tensors(path).items():
        parameter_name, _, key = name.rpartition("/")
        parameter = parameters.get(parameter_name)
        if parameter is None or (value.ndim and value.shape != parameter.shape):
            raise InputError(f"{path}: '{name}' {list(value.shape)} fits no weight of this model")
        trainer.optimizer.state[parameter][key] = value.to(parameter.device) if value.ndim else value.item()


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


def _folders(folder: Path) -> list[Path]:
    """Published checkpoints, the newest first; a folder without a manifest is a write that was killed."""
    found = [path for path in folder.glob("step-*") if _NAME.fullmatch(path.name) and (path / MANIFEST).exists()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")), reverse=True)


def _delete(path: Path) -> None:
    (path / MANIFEST).unlink()  # first, so that a half-deleted checkpoint is none
    shutil.rmtree(path)


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: value}
    return {
        name: leaf
        for key, item in value.items()
        for name, leaf in _flatten(item, f"{prefix}.{key}".lstrip(".")).items()
    }
