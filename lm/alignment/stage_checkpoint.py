"""The state of an unfinished stage on disk: weights, moments, counters, replay, the log, and parts of the stage's own.

It lies in the work folder beside the stage's output, and belongs to one fingerprint: a stage with another
configuration, model or data begins anew. Resuming gives the bytes of the unbroken stage, on a CPU.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lm.code_version import code_digest
from lm.errors import LoamError
from lm.model.files import load_tensors, save_tensors
from lm.storage import open_artifact, publish, write_json
from lm.training.checkpoint import MOMENTS, STATE, WEIGHTS, apply_state, module_state, optimizer_state, verify

_KIND = "stage_checkpoint"
_PARTS = "parts.safetensors"
INTERVAL_S = 60.0


class StagePart(Protocol):
    """A part of a stage's state that is neither weights nor moments, such as the best weights so far."""

    def state(self) -> dict[str, Any]:
        """Return its numbers, as JSON has them."""

    def tensors(self) -> dict[str, Tensor]:
        """Return its tensors by name."""

    def restore(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Go on from a `state()` and its `tensors()`."""


@dataclass(frozen=True, slots=True)
class StageState:
    """The counters of a stage: optimizer updates, the place in the replayed text, and the rows of its log."""

    updates: int
    replay: dict[str, Any] | None
    rows: Sequence[dict[str, Any]]
    parts: Mapping[str, Any] = field(default_factory=dict)
    """The state of every part, by name."""
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    """The tensors of all parts, by `PART/NAME`."""


class StageCheckpoint:
    """The checkpoint of one stage with one fingerprint."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._path, self._fingerprint = folder / "stage", fingerprint
        self._saved_at = time.monotonic()

    def is_due(self) -> bool:
        """Return whether a minute has passed since the last one."""
        return time.monotonic() - self._saved_at >= INTERVAL_S

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, state: StageState) -> None:
        """Publish the state in place of the one before."""
        moments, facts = optimizer_state(model, optimizer)
        with publish(
            self._path,
            kind=_KIND,
            config={},
            inputs={"stage": self._fingerprint},
            code=code_digest(StageCheckpoint.save),
        ) as publication:
            save_tensors(publication.path / WEIGHTS, module_state(model))
            save_tensors(publication.path / MOMENTS, moments)
            if state.tensors:
                save_tensors(publication.path / _PARTS, dict(state.tensors))
            values = {
                "updates": state.updates,
                "replay": state.replay,
                "rows": list(state.rows),
                "parts": dict(state.parts),
                "optimizer": facts,
            }
            write_json(publication.path / STATE, values)
        self._saved_at = time.monotonic()

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> StageState | None:
        """Put model and optimizer into the saved state and return its counters; None without a saved state.

        A checkpoint of another fingerprint, or one that cannot be read, is left aside: the stage begins anew.
        """
        try:
            checkpoint = open_artifact(self._path, kind=_KIND)
            if checkpoint.inputs != {"stage": self._fingerprint}:
                return None
            verify(checkpoint)
            values = json.loads(checkpoint.file(STATE).read_bytes())
            tensors = load_tensors(checkpoint.file(_PARTS)) if _PARTS in checkpoint.names() else {}
            apply_state(checkpoint, model, optimizer, values["optimizer"])
        except LoamError:
            return None
        return StageState(values["updates"], values["replay"], values["rows"], values["parts"], tensors)

    def clear(self) -> None:
        """Remove what was saved."""
        shutil.rmtree(self._path, ignore_errors=True)
