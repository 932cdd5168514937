"""A model and its optimizer on disk: any module, any of torch's optimizers that keeps a weight's state in tensors and
numbers (LBFGS keeps lists).

    PATH/    model.safetensors, optimizer.safetensors, state.json

Decisions:
- Published through `lm.storage`: a killed writer leaves the checkpoint before it; a flipped bit is refused at open.
- No pickle: tensors in safetensors, numbers in JSON.
- What an optimizer keeps is saved under the names of the weights (`NAME/KEY`), not under their order.
- Tensors that share their memory (a tied matrix) are saved once.

A pre-training run's checkpoints, with loader, generators and log, are `lm.training.run_checkpoint`'s.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lm.code_version import code_digest
from lm.errors import InputError
from lm.locations import locate
from lm.model.files import save_tensors
from lm.storage import Artifact, open_artifact, publish, write_json
from lm.training.state_parts import NO_SLICES, Slices, cut, read_numbers, read_tensors

WEIGHTS, MOMENTS, STATE = "model.safetensors", "optimizer.safetensors", "state.json"
_KIND = "module_checkpoint"


def save_checkpoint(
    model: nn.Module, optimizer: torch.optim.Optimizer, iteration: int, path: str | PathLike[str]
) -> Artifact:
    """Publish the state of `model` and `optimizer` as the folder `path`, in place of what was published there before.

    Raises:
        InputError: the optimizer moves a tensor that is not a parameter of the model, or keeps something other than
        tensors and numbers.
        NoSpaceError: the disk is full; what was there before is untouched.
    """
    moments, facts = optimizer_state(model, optimizer)
    code = code_digest(save_checkpoint)
    with publish(locate(os.fspath(path)), kind=_KIND, config={}, inputs={}, code=code) as publication:
        save_tensors(publication.path / WEIGHTS, module_state(model))
        save_tensors(publication.path / MOMENTS, moments)
        write_json(publication.path / STATE, {"iteration": iteration, "optimizer": facts})
        publication.summary["iteration"] = iteration
    return publication.artifact


def load_checkpoint(path: str | PathLike[str], model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> int:
    """Put `model` and `optimizer` into the state that `save_checkpoint` wrote; returns the iteration.

    Raises:
        InputError: no checkpoint there, or one of another model or optimizer; names what differs.
        IntegrityError: its bytes changed.
    """
    checkpoint = open_artifact(locate(os.fspath(path)), kind=_KIND)
    verify(checkpoint)
    state = json.loads(checkpoint.file(STATE).read_bytes())
    apply_state(checkpoint, model, optimizer, state["optimizer"])
    return int(state["iteration"])


def apply_state(
    checkpoint: Artifact,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    facts: Mapping[str, Any],
    slices: Slices = NO_SLICES,
) -> None:
    """Put the checkpoint's tensors into the model and the optimizer, both or, where one does not fit, neither. Of the
    weights in `slices` the model and the optimizer keep these parts.

    Raises:
        InputError: a name is missing or unknown, a shape differs, or the optimizer's groups hold other weights.
    """
    weights = _fitting_weights(model, cut(read_tensors(checkpoint, WEIGHTS), slices), checkpoint.path / WEIGHTS)
    if optimizer is not None:
        facts = {**facts, "numbers": {**facts["numbers"], **read_numbers(checkpoint)}}
        moments, where = cut(read_tensors(checkpoint, MOMENTS), slices), checkpoint.path / MOMENTS
        optimizer.load_state_dict(_fitting_moments(model, optimizer, moments, facts, where))
    with torch.no_grad():
        for name, target in module_state(model).items():
            target.copy_(weights[name])


def verify(checkpoint: Artifact) -> None:
    """Read every file and compare its sha256.

    Raises:
        IntegrityError: names the file, the expected and the actual digest.
    """
    for name in checkpoint.names():
        checkpoint.file(name)


def module_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the module's tensors by name; of names that share one memory the first."""
    seen: dict[Any, str] = {}
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if seen.setdefault(_memory(tensor) if tensor.numel() else name, name) == name
    }


def _fitting_weights(model: nn.Module, stored: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the stored tensors, which are the module's."""
    targets = module_state(model)
    if differing := sorted(stored.keys() ^ targets.keys()):
        known = "the model has no" if differing[0] in stored else "has no tensor"
        raise InputError(f"{path}: {known} '{differing[0]}' ({len(differing)} names differ)")
    for name, target in targets.items():
        if stored[name].shape != target.shape:
            raise InputError(f"{path}: '{name}' is {list(stored[name].shape)}, expected {list(target.shape)}")
    return stored


def optimizer_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the optimizer's tensors as `NAME/KEY`, and its numbers and settings as plain JSON values.

    Raises:
        InputError: see `save_checkpoint`.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = names.get(id(parameter))
            if name is None:
                raise InputError(
                    f"optimizer: updates a tensor {list(parameter.shape)} that is not a parameter of the model"
                )
            for key, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    tensors[f"{name}/{key}"] = value
                else:
                    numbers[f"{name}/{key}"] = _plain(value, f"state '{key}'")
    groups = [
        {
            **{key: _plain(value, f"setting '{key}'") for key, value in group.items() if key != "params"},
            "params": [names[id(parameter)] for parameter in group["params"]],
        }
        for group in optimizer.param_groups
    ]
    return tensors, {"numbers": numbers, "groups": groups}


def _fitting_moments(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    stored: Mapping[str, Tensor],
    facts: Mapping[str, Any],
    path: Path,
) -> dict[str, Any]:
    """Return a saved state, settings included, as `load_state_dict` takes it."""
    parameters = dict(model.named_parameters())
    names = {id(parameter): name for name, parameter in parameters.items()}
    groups = optimizer.state_dict()["param_groups"]
    index: dict[str, int] = {}
    for number, (group, held, saved) in enumerate(
        zip(groups, optimizer.param_groups, _equally_many(facts["groups"], groups, path), strict=True)
    ):
        own = [names.get(id(parameter), "a tensor of no name") for parameter in held["params"]]
        if own != saved["params"]:
            differing = sorted(set(own) ^ set(saved["params"])) or own
            raise InputError(f"{path}: group {number} of the optimizer holds other weights: '{differing[0]}'")
        index.update(zip(own, group["params"], strict=True))
        kept = {key: _like(value, group.get(key)) for key, value in saved.items() if key != "params"}
        group.update(kept)
    state: dict[int, dict[str, Any]] = {}
    for name, value in [*stored.items(), *facts["numbers"].items()]:
        owner, _, key = name.rpartition("/")
        if owner not in index or (isinstance(value, Tensor) and not _fits(value, parameters[owner])):
            raise InputError(f"{path}: '{name}' {list(getattr(value, 'shape', []))} fits no weight of this model")
        state.setdefault(index[owner], {})[key] = value
    return {"state": state, "param_groups": groups}


def _fits(value: Tensor, weight: Tensor) -> bool:
    """Return whether a tensor could be kept for a weight: one number, or along each axis as many as the weight or
    one.
    """
    if value.ndim != weight.ndim:
        return value.ndim == 0
    return all(own in (1, size) for own, size in zip(value.shape, weight.shape, strict=True))


def _memory(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.device, tuple(tensor.shape), tensor.stride(), tensor.dtype


def _equally_many(saved: list[dict[str, Any]], groups: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    if len(saved) != len(groups):
        raise InputError(f"{path}: {len(saved)} groups of weights, the optimizer has {len(groups)}")
    return saved


def _plain(value: Any, what: str) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item, what) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InputError(f"optimizer: {what} holds a {type(value).__name__}, which cannot be saved; expected numbers")


def _like(value: Any, present: Any) -> Any:
    """Return a list as the tuple that it was, since JSON has no tuples."""
    return tuple(value) if isinstance(present, tuple) else value
