"""Child processes for training: torch stays out of Dagster, and a run can be cancelled.

Cancelling a run sends SIGINT to the child, which writes a checkpoint and ends; it has `_GRACE_S` seconds for that.
A child whose run was killed ends in the same way.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from lm.configuration import to_mapping
from lm.errors import ConflictError, RankLostError, UnreachableError
from lm.locations import locate
from lm.storage import MANIFEST
from lm.training.metrics import work_folder

_GRACE_S = 60.0
_LAUNCHER_GRACE = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": f"{_GRACE_S - 5:.0f}"}
"""The seconds after which `torchrun` kills its ranks, 30 by default: a little fewer than those given to it."""

_ENDED_BADLY = "DagsterPipesExecutionError"
"""Dagster's error of a child that ended with another exit code than 0; its class is not public."""


def pipes_client() -> dg.PipesSubprocessClient:
    """Return a Pipes client that gives a cancelled training the time to write its checkpoint."""
    return dg.PipesSubprocessClient(termination_timeout_seconds=_GRACE_S)


def run_training(
    context: dg.AssetExecutionContext,
    pipes: dg.PipesSubprocessClient,
    function: str,
    config: Any,
    paths: Mapping[str, Any],
    **values: str,
) -> None:
    """Run one of `training_process.FUNCTIONS` with its configuration dataclass, paths and other values, to its end.

    Raises:
        dagster.Failure: the process ended with an error; the message is the process's own.
        UnreachableError, RankLostError, ConflictError: the process's own, where the cause may pass.
    """
    with tempfile.TemporaryDirectory(prefix="loam-") as folder:
        error_file = Path(folder) / "error.json"
        extras = {
            "function": function,
            "config": to_mapping(config),
            "paths": _as_strings(paths),
            "values": values,
            "error_file": str(error_file),
            "parent": [socket.gethostname(), os.getpid()],
        }
        try:
            pipes.run(
                command=command_of(getattr(config, "num_processes", 1)),
                context=context.op_execution_context,
                extras=extras,
                env=_LAUNCHER_GRACE,
            )
        except Exception as error:
            if type(error).__name__ != _ENDED_BADLY:
                raise
            raise _failure(function, error_file, error, paths) from error


def command_of(num_processes: int) -> list[str]:
    """Return the command of a training: Python alone, or `torchrun` with as many ranks on this machine.

    `LOAM_LAUNCHER` replaces `torchrun` for several machines, with `{num_processes}` for the ranks of each. The machines
    share the home, the cache and the folder of temporary files (TMPDIR).
    """
    module = ["-m", "assets.support.training_process"]
    if launcher := os.environ.get("LOAM_LAUNCHER"):
        return [*shlex.split(launcher.replace("{num_processes}", str(num_processes))), *module]
    if num_processes == 1:
        return [sys.executable, *module]
    ranks = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_processes)]
    return [sys.executable, *ranks, *module]


def _failure(function: str, error_file: Path, error: Exception, paths: Mapping[str, Any]) -> Exception:
    """Return the child's error, or how it ended if it died without a message. A cause that may pass is the child's
    `LoamError`, so that the step is tried again."""
    if not error_file.exists():
        return dg.Failure(
            description=f"{function}: {_end_of(error)}, launch again to {_way_on(paths)}", allow_retries=False
        )
    told = json.loads(error_file.read_text())
    if told["kind"] == RankLostError.__name__:
        return RankLostError(told["message"], told["exit_code"])
    for passing in (UnreachableError, ConflictError):
        if told["kind"] == passing.__name__:
            return passing(told["message"])
    metadata = {"exit_code": told["exit_code"], "error": told["kind"]}
    return dg.Failure(description=told["message"], metadata=metadata, allow_retries=False)


def _end_of(error: Exception) -> str:
    """Return how a process ended, from the exit code in Dagster's message; a negative one is a signal's."""
    found = re.search(r"code (-?\d+)", str(error))
    if found is None:
        return f"the process died without a message ({error})"
    code = int(found[1])
    if code >= 0:
        return f"the process ended with exit code {code} and no message"
    name = signal.Signals(-code).name
    return f"killed ({name}{'; out of memory?' if -code == signal.SIGKILL else ''})"


def _way_on(paths: Mapping[str, Any]) -> str:
    """Return where the next launch begins: at the newest checkpoint of the output's work folder, if there is one."""
    folder = work_folder(locate(str(paths["output"]))) / "checkpoints" if "output" in paths else None
    steps = (
        [int(path.name.removeprefix("step-")) for path in folder.glob("step-*") if (path / MANIFEST).exists()]
        if folder
        else []
    )
    return f"resume from step {max(steps):,}" if steps else "start over"


def _as_strings(paths: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _as_strings(value) if isinstance(value, Mapping) else str(value) for key, value in paths.items()}
