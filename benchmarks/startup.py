"""CPU time of loading Loam's Dagster definitions, against loading Dagster alone.

Every process that Dagster starts pays this time: the code server, a run, a tick of a schedule or a sensor.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Row, finish, parser
from lm.errors import run_command

MOST_TIMES_DAGSTER = 2.0
_REPEATS = 7
_MODULES = ("dagster", "assets.definitions", "pipelines.curation.run", "lm.training")


def cpu_seconds_to_import(module: str) -> float:
    """Return the CPU seconds of a new process that imports `module`, with cached byte code, without NumPy threads."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        cwd=Path(__file__).parent.parent,
        check=True,
        env=environment | {"OPENBLAS_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(modules: Sequence[str], repeats: int) -> dict[str, float]:
    """Return the minimum CPU seconds of each module over alternating repeats, after one that caches byte code."""
    rounds = [{module: cpu_seconds_to_import(module) for module in modules} for _ in range(repeats + 1)]
    return {module: min(each[module] for each in rounds[1:]) for module in modules}


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    arguments = parser("startup", (__doc__ or "").strip()).parse_args(argv)
    seconds = measured(_MODULES, _REPEATS)
    rows = [Row(name="import dagster", value=seconds["dagster"], unit="CPU s")]
    for module in _MODULES[1:]:
        compared = module == "assets.definitions"
        rows.append(
            Row(
                name=f"import {module}",
                value=seconds[module],
                unit="CPU s",
                peer="import dagster",
                ratio=seconds[module] / seconds["dagster"],
                target=MOST_TIMES_DAGSTER if compared else None,
                better="lower",
            )
        )
    return finish("startup", rows, arguments)


if __name__ == "__main__":
    run_command(main)
