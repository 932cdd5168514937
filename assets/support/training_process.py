"""The child process of a training asset: `python -m assets.support.training_process`, started by Dagster Pipes.

It imports `lm` and the small `dagster_pipes`, never dagster itself. The parent names one function of `FUNCTIONS`, its
configuration and its paths; every event that the function reports goes into the run's log. A `LoamError` is passed to
the parent, and the exit code is the error's. Under `torchrun` every rank runs this module, and rank 0 reports.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import select
import signal
import socket
import threading
import time
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dagster_pipes import PipesMessageWriter, PipesMessageWriterChannel, open_dagster_pipes

from lm.configuration import from_mapping
from lm.errors import InputError, LoamError, run_command
from lm.locations import locate

_LOG_INTERVAL_S = 1.0

FUNCTIONS = {
    "pretrain": "lm.training.pretrain:pretrain",
    "ablation": "lm.ablations.run:run_ablation",
    "ngram": "lm.evaluation.ngram_baseline:write_ngram_baseline",
    "plan": "lm.scaling.training_plan:write_training_plan",
    "systems": "lm.systems.report:write_systems_report",
    "budget": "lm.scaling.training_budget:write_training_budget",
    "law_runs": "lm.scaling.grid:run_budget",
    "law_prediction": "lm.scaling.grid:write_prediction",
    "law_test": "lm.scaling.grid:run_prediction",
    "scaling_runs": "lm.scaling.sweep:run_sweep",
    "sft": "lm.alignment.sft:train_sft",
    "dpo": "lm.alignment.dpo:train_dpo",
    "grpo": "lm.alignment.grpo:train_grpo",
    "ppo": "lm.alignment.ppo:train_ppo",
    "reward": "lm.alignment.reward_model:train_reward_model",
    "pairs": "lm.alignment.sampled_pairs:write_preference_pairs",
    "rejection": "lm.alignment.rejection:write_rejection_samples",
    "expert": "lm.alignment.expert_iteration:iterate_experts",
    "control": "lm.alignment.control:train_control",
    "evaluate": "lm.alignment.report:write_evaluation_report",
}
"""The functions that a training asset may start, by name."""


def load(name: str) -> tuple[Callable[..., Any], type]:
    """Return the function called `name`, and the dataclass of its parameter `config`."""
    if name not in FUNCTIONS:
        raise InputError(f"function '{name}': expected one of {', '.join(sorted(FUNCTIONS))}")
    module, attribute = FUNCTIONS[name].split(":")
    function = getattr(importlib.import_module(module), attribute)
    hint = typing.get_type_hints(function)["config"]
    choices = [choice for choice in typing.get_args(hint) or (hint,) if choice is not type(None)]
    return function, choices[0]


def call(
    name: str,
    config: Mapping[str, Any],
    paths: Mapping[str, Any],
    report: Callable[..., None],
    values: Mapping[str, str] | None = None,
) -> None:
    """Call one function of `FUNCTIONS` with its configuration, paths, and other values that it takes as they are."""
    function, config_class = load(name)
    function(config=from_mapping(config_class, config), report=report, **_as_paths(paths), **(values or {}))


def _as_paths(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return strings as paths, also inside mappings such as {stage: model folder}."""
    return {key: _as_paths(value) if isinstance(value, Mapping) else locate(value) for key, value in values.items()}


def _sentence(event: Mapping[str, object]) -> str:
    return "  ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in event.items()
    )


def _end_with(host: str, parent: int) -> None:
    """Send SIGTERM to this process once the run that started it is gone, if that is a process of this machine."""
    if host != socket.gethostname():
        return
    with contextlib.suppress(ProcessLookupError):
        ending = select.poll()
        ending.register(os.pidfd_open(parent), select.POLLIN)  # readable once the process has ended (pidfd_open(2))
        ending.poll()
    os.kill(os.getpid(), signal.SIGTERM)


def _sparing(report: Callable[[Mapping[str, object]], None]) -> Callable[[Mapping[str, object]], None]:
    """Return `report` that passes on at most one event of a step a second, of those with the same entries.

    The run's log is for reading; `metrics.jsonl` has every step.
    """
    last: dict[frozenset[str], float] = {}

    def pass_on(event: Mapping[str, object]) -> None:
        kind, now = frozenset(event), time.monotonic()
        if "step" in event and now - last.get(kind, -math.inf) < _LOG_INTERVAL_S:
            return
        last[kind] = now
        report(event)

    return pass_on


class _Unheard(PipesMessageWriter[PipesMessageWriterChannel]):
    """The message writer of a rank other than 0: Dagster reads one report of a run."""

    @contextlib.contextmanager
    def open(self, params: Any) -> Iterator[PipesMessageWriterChannel]:
        yield _UnheardChannel()


class _UnheardChannel(PipesMessageWriterChannel):
    def write_message(self, message: Any) -> None:
        """Drop the message."""


def _tell(file: Path, message: str, exit_code: int, kind: str) -> None:
    """Leave an error for the parent; of several ranks' errors the first counts."""
    with contextlib.suppress(FileExistsError), file.open("x") as told:
        told.write(json.dumps({"message": message, "exit_code": exit_code, "kind": kind}))


@contextlib.contextmanager
def _ranks(config: Mapping[str, Any], error_file: Path) -> Iterator[None]:
    """Join the other ranks where a launcher started several; their watch leaves its errors for the parent too."""
    if "WORLD_SIZE" not in os.environ:
        yield
        return
    from lm.parallel.launch import joined
    from lm.parallel.watch import SILENCE_S

    with joined(
        silence_s=config.get("rank_silence_s", SILENCE_S),
        on_failure=lambda failure: _tell(error_file, failure.message, failure.exit_code, failure.kind),
    ):
        yield


def main(argv: list[str] | None = None) -> int:
    """Read the request from Pipes and run it; report a failure to the parent."""
    writer = _Unheard() if os.environ.get("RANK", "0") != "0" else None
    with open_dagster_pipes(message_writer=writer) as pipes:
        error_file = Path(pipes.get_extra("error_file"))
        threading.Thread(target=_end_with, args=pipes.get_extra("parent"), daemon=True).start()
        try:
            with _ranks(pipes.get_extra("config"), error_file):
                call(
                    pipes.get_extra("function"),
                    pipes.get_extra("config"),
                    pipes.get_extra("paths"),
                    _sparing(lambda event: pipes.log.info(_sentence(event))),
                    pipes.get_extra("values"),
                )
        except LoamError as error:
            _tell(error_file, str(error), error.exit_code, type(error).__name__)
            raise
    return 0


if __name__ == "__main__":
    run_command(main)
