"""Starting a run from another one: from its weights, from its optimizer too, or from its whole state.

weights      a model artifact, or a checkpoint: annealing, continued pre-training on other data
optimizer    a checkpoint: the moments too, under this run's settings of the optimizer
run          a checkpoint: goes on at its step, under another length or decay of a wsd schedule
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lm.errors import InputError
from lm.model.files import SHAPE, WEIGHTS, load_state
from lm.storage import Artifact
from lm.training.checkpoint import STATE, apply_state, verify
from lm.training.metrics import MetricsLog
from lm.training.run_checkpoint import KIND, refuse_other_run, restore_run
from lm.training.state_parts import cut, read_tensors
from lm.training.trainer import Trainer


def start_from(
    start: Artifact, what: str, identity: Mapping[str, Any], trainer: Trainer, log: MetricsLog, tokenizer_digest: str
) -> None:
    """Put `what` of the artifact `start` into the trainer: its weights, its optimizer too, or the whole run.

    Raises:
        InputError: the artifact holds no such state, its tensors do not fit, or it was trained on another tokenizer.
        ConfigurationError: `what` is "run", and the run differs in more than the rest of its schedule.
        IntegrityError: its bytes changed.
    """
    verify(start)
    if what != "weights" and start.kind != KIND:
        raise InputError(f"{start.path}: a {start.kind}, expected a checkpoint for init_state = {what}")
    _check_tokenizer(start, tokenizer_digest)
    if what == "run":
        refuse_other_run(start, identity["config"], identity["inputs"], of_another=True)
        restore_run(start, trainer, log)
    elif what == "optimizer":
        _apply_with_moments(start, trainer)
    else:
        weights = cut(read_tensors(start, WEIGHTS), trainer.replicas.slices())
        load_state(trainer.replicas.held, weights, str(start.path / WEIGHTS))


def _apply_with_moments(start: Artifact, trainer: Trainer) -> None:
    """Load weights and moments of the checkpoint; rates, decay and betas stay this run's."""
    optimizer = trainer.optimizer
    settings = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    facts = json.loads(start.file(STATE).read_bytes())["optimizer"]
    apply_state(start, trainer.replicas.held, optimizer, facts, trainer.replicas.slices())
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)


def _check_tokenizer(start: Artifact, expected: str) -> None:
    described = _file(start, STATE if start.kind == KIND else SHAPE)
    found = json.loads(described.read_bytes()).get("tokenizer_digest")
    if found != expected:
        raise InputError(f"{described}: trained on tokenizer {found}, expected {expected}")


def _file(start: Artifact, name: str) -> Any:
    if name not in start.names():
        raise InputError(f"{start.path}: a {start.kind} without {name}, expected a model or a checkpoint")
    return start.file(name)
