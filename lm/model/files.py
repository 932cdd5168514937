"""A model on disk: `model.safetensors` for the weights, `model.json` for the shape and the tokenizer it was trained on.

No pickle: a file is refused before any of its bytes could act.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lm.configuration import from_mapping, to_mapping
from lm.errors import ConfigurationError, InputError
from lm.model.config import ModelConfig
from lm.model.transformer import TransformerLM
from lm.storage import Artifact, write_json

WEIGHTS = "model.safetensors"
SHAPE = "model.json"


def save_model(folder: Path, model: TransformerLM, tokenizer_digest: str) -> None:
    """Write the two files into `folder`; the same weights give the same bytes."""
    save_tensors(folder / WEIGHTS, model_state(model))
    write_json(folder / SHAPE, {"config": to_mapping(model.config), "tokenizer_digest": tokenizer_digest})


def load_model(
    source: Artifact | Path | str, device: torch.device | str = "cpu", tokenizer_digest: str | None = None
) -> tuple[TransformerLM, str]:
    """Return the model of an artifact (checked against its manifest) or of a plain folder, and its tokenizer's digest.

    Raises:
        InputError: a file is missing, is not a safetensors file, or does not fit the shape; or another tokenizer than
        `tokenizer_digest`.
        IntegrityError: an artifact's file was changed.
    """
    weights, shape = (_locate(source, name) for name in (WEIGHTS, SHAPE))
    config, digest = _read_shape(shape)
    if tokenizer_digest is not None and digest != tokenizer_digest:
        raise InputError(f"{shape}: trained on tokenizer {digest}, expected {tokenizer_digest}")
    with torch.device("meta"):
        model = TransformerLM(config)
    model = model.to_empty(device=device)
    for module in model.modules():
        if (reset := getattr(module, "reset_buffers", None)) is not None:
            reset(torch.device(device))  # tables and counters, which are not part of the saved state
    if config.tie_embeddings:
        model.lm_head.weight = model.token_embeddings.weight
    load_state(model, load_tensors(weights), str(weights))
    return model, digest


def model_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights by name, a tied matrix once."""
    once = {name for name, _ in model.named_parameters()}
    again = {name for name, _ in model.named_parameters(remove_duplicate=False)} - once
    return {name: tensor for name, tensor in model.state_dict().items() if name not in again}


def load_state(model: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Copy the tensors of `state` into the weights.

    Raises:
        InputError: a name is missing or unknown, or a shape differs; the message names `where`.
    """
    targets = model_state(model)
    _check_names(targets, state, where)
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(state[name])


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file with the names in order."""
    save_file({name: tensors[name].detach().contiguous().cpu() for name in sorted(tensors)}, path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a safetensors file, on the CPU.

    Raises:
        InputError: the file is missing or is not a safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - not a dictionary
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except SafetensorError as error:
        raise InputError(f"{path}: not a safetensors file ({error})") from None


def _locate(source: Artifact | Path | str, name: str) -> Path:
    return source.file(name) if isinstance(source, Artifact) else Path(source) / name


def _read_shape(path: Path) -> tuple[ModelConfig, str]:
    try:
        raw: Any = json.loads(path.read_bytes())
        config, digest = raw["config"], raw["tokenizer_digest"]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a model description ({type(error).__name__}: {error})") from None
    if not isinstance(config, dict) or not isinstance(digest, str):
        raise InputError(f"{path}: not a model description, expected an object 'config' and a text 'tokenizer_digest'")
    try:
        return from_mapping(ModelConfig, config, "config"), digest
    except ConfigurationError as error:
        raise InputError(f"{path}: {error}") from None


def _check_names(targets: dict[str, Tensor], state: dict[str, Tensor], where: str) -> None:
    if missing := sorted(targets.keys() - state.keys()):
        raise InputError(f"{where}: has no tensor '{missing[0]}' ({len(missing)} missing)")
    if unknown := sorted(state.keys() - targets.keys()):
        raise InputError(f"{where}: the model has no '{unknown[0]}' ({len(unknown)} unknown)")
    for name, target in sorted(targets.items()):
        if state[name].shape != target.shape:
            raise InputError(f"{where}: '{name}' is {list(state[name].shape)}, expected {list(target.shape)}")
