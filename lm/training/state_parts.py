"""The state of a run in parts, one a rank, and out of parts again: for the same ranks, for others, or for one process.

    model.safetensors, optimizer.safetensors                     one process, and ddp: rank 0 has everything
    NAME-RRRRR-of-NNNNN.safetensors, part-RRRRR-of-NNNNN.json    of each rank that keeps a share

A part holds whole tensors, or slices; its JSON says which (`slices`: the whole shape, and from where to where in the
flattened tensor, or along an axis) and has the optimizer's numbers of its weights. A reader joins all parts and cuts
its own slices, so every world size reads every other's checkpoint without a change of a bit.

A rank other than 0 writes its files into `WORK/checkpoints/parts/step-N`, each at once by a rename; rank 0 moves them
into its publication, whose manifest makes the checkpoint. All ranks share the file system of the work folder.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lm.errors import InputError
from lm.model.files import load_tensors, save_tensors
from lm.storage import Artifact, write_json

Place = tuple[Sequence[int], int, int] | tuple[Sequence[int], int, int, int]
"""The whole shape, the first element and the end: of the flattened tensor, or along the axis that comes last."""

Slices = Mapping[str, Place]
NO_SLICES: Slices = {}
PARTS = "parts"
_POLL_S = 0.02


def part_file(name: str, rank: int, num_ranks: int) -> str:
    """Return the name of a rank's file: `model.safetensors` becomes `model-00001-of-00004.safetensors`."""
    stem, _, suffix = name.partition(".")
    return f"{stem}-{rank:05d}-of-{num_ranks:05d}.{suffix}"


def write_part(
    folder: Path,
    rank: int,
    num_ranks: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    numbers: Mapping[str, Any],
    slices: Slices,
) -> None:
    """Write a rank's files, by their names for one process; the JSON comes last and says that the others are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, held in tensors.items():
        if held:
            target = folder / part_file(name, rank, num_ranks)
            twin = target.with_name(f"{target.name}.new")
            save_tensors(twin, dict(held))
            _moved(twin, target)
    described = folder / part_file("part.json", rank, num_ranks)
    twin = described.with_name(f"{described.name}.new")
    write_json(twin, {"numbers": numbers, "slices": slices, "files": [name for name, held in tensors.items() if held]})
    _moved(twin, described)


def collect_parts(folder: Path, into: Path, num_ranks: int, check: Callable[[], None]) -> None:
    """Move the files of ranks 1 … into `into` when they are whole; `check` may raise to stop waiting."""
    for rank in range(1, num_ranks):
        described = folder / part_file("part.json", rank, num_ranks)
        while not described.exists():
            check()
            time.sleep(_POLL_S)
        for name in json.loads(described.read_bytes())["files"]:
            file = part_file(name, rank, num_ranks)
            (folder / file).replace(into / file)
        described.replace(into / described.name)
    folder.rmdir()


def read_tensors(checkpoint: Artifact, name: str) -> dict[str, Tensor]:
    """Return all whole tensors of a kind of file, such as `model.safetensors`, out of however many parts.

    Raises:
        InputError: a file is missing or damaged, or slices leave a gap.
        IntegrityError: a file's bytes changed.
    """
    if name in checkpoint.names():
        return load_tensors(checkpoint.file(name))
    found: dict[str, Tensor] = {}
    filled: dict[str, int] = {}
    for file, described in _parts(checkpoint, name):
        for key, tensor in load_tensors(checkpoint.file(file)).items():
            place = described["slices"].get(_weight_of(key, described["slices"]))
            if place is None:
                found[key] = tensor
                continue
            whole = found.get(key, torch.empty(place[0], dtype=tensor.dtype))
            target = _part_of(whole, place)
            if tensor.shape != target.shape:  # a number that the optimizer keeps for the weight
                found[key] = tensor
                continue
            found[key] = whole
            target.copy_(tensor)
            filled[key] = filled.get(key, 0) + tensor.numel()
    if not found:
        raise InputError(f"{checkpoint.path}: has no {name} and no parts of it")
    for key, number in filled.items():
        if number != found[key].numel():
            raise InputError(f"{checkpoint.path}: '{key}' has {number} of {found[key].numel()} elements in all parts")
    return found


def read_numbers(checkpoint: Artifact) -> dict[str, Any]:
    """Return the optimizer's numbers of all parts together."""
    names = [name for name in checkpoint.names() if name.startswith("part-")]
    return {
        key: value for name in names for key, value in json.loads(checkpoint.file(name).read_bytes())["numbers"].items()
    }


def cut(tensors: Mapping[str, Tensor], slices: Slices) -> dict[str, Tensor]:
    """Return the tensors of weights, or of what an optimizer keeps for them, in a rank's slices."""
    found = {}
    for key, tensor in tensors.items():
        place = slices.get(_weight_of(key, slices))
        is_whole = place is not None and list(tensor.shape) == list(place[0])
        found[key] = _part_of(tensor, place).clone() if place is not None and is_whole else tensor
    return found


def _part_of(whole: Tensor, place: Place) -> Tensor:
    """Return the view of a slice: along its axis, or of the flattened tensor."""
    if len(place) == 4:
        return whole.narrow(place[3], place[1], place[2] - place[1])
    return whole.view(-1)[place[1] : place[2]]


def _parts(checkpoint: Artifact, name: str) -> list[tuple[str, dict[str, Any]]]:
    stem, _, suffix = name.partition(".")
    files = sorted(each for each in checkpoint.names() if each.startswith(f"{stem}-") and each.endswith(suffix))
    described = [f"part{file.removeprefix(stem).removesuffix(suffix)}json" for file in files]
    return [(file, json.loads(checkpoint.file(part).read_bytes())) for file, part in zip(files, described, strict=True)]


def _weight_of(key: str, slices: Slices) -> str:
    """Return the weight's name in a key: itself, or what stands before the last slash."""
    return key if key in slices else key.rpartition("/")[0]


def _moved(twin: Path, target: Path) -> None:
    with twin.open("rb") as written:
        os.fsync(written.fileno())
    twin.replace(target)
