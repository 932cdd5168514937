"""Benchmark reports: rows with targets, a table, JSON with machine and commit, and `--check`."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("dagster", "numba", "numpy", "pyarrow", "torch", "transformers", "triton")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One figure. `value` None was not measured on this machine; `ratio` is to the peer measured in the same run."""

    name: str
    value: float | None
    unit: str
    peer: str = ""
    ratio: float | None = None
    target: float | None = None
    better: Literal["higher", "lower"] = "higher"

    @property
    def missed(self) -> bool:
        """Return whether there is a target and the figure (the ratio, where there is a peer) misses it."""
        measured = self.value if self.ratio is None else self.ratio
        if self.target is None or measured is None:
            return False
        return measured < self.target if self.better == "higher" else measured > self.target


def peak_bytes() -> int:
    """Return the peak memory of this process; `ru_maxrss` would include the peak of its parent at the fork."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def parser(subject: str, description: str) -> argparse.ArgumentParser:
    """Return the argument parser shared by all benchmarks."""
    found = argparse.ArgumentParser(prog=f"python -m benchmarks.{subject}", description=description)
    found.add_argument(
        "--json", type=Path, metavar="FILE", help="write the rows with machine, versions, date and commit"
    )
    found.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    return found


def finish(subject: str, rows: Iterable[Row], arguments: argparse.Namespace, **more: Any) -> int:
    """Print the table, write the JSON with `more` facts, and return the exit code."""
    measured = list(rows)
    print_table(measured)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(facts(subject, measured) | more, indent=2) + "\n")
    return int(arguments.check and any(row.missed for row in measured))


def print_table(rows: list[Row]) -> None:
    """Print the rows as aligned text; mark missed targets."""
    print(f"{'':44}{'value':>14} {'unit':<12}{'ratio':>8}  {'target':>10}  peer")
    for row in rows:
        print_row(row)


def print_row(row: Row) -> None:
    """Print one row of the table immediately."""
    sign = "≥" if row.better == "higher" else "≤"
    target = "" if row.target is None else f"{sign} {row.target:,.6g}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}×"
    mark = "  MISSED" if row.missed else ""
    line = f"{row.name:<44}{_figure(row.value):>14} {row.unit:<12}{ratio:>8}  {target:>10}  {row.peer}{mark}"
    print(line, flush=True)


def facts(subject: str, rows: list[Row]) -> dict[str, Any]:
    """Return the content of a result file."""
    return {
        "subject": subject,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": _commit(),
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "system": platform.platform()},
        "python": platform.python_version(),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "rows": [asdict(row) for row in rows],
    }


def _version(package: str) -> str | None:
    """Return the version of a package, or None if it is not installed, as on a bare GPU machine."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def timed(work: Callable[[], Any], clock: Callable[[], float]) -> float:
    """Return the seconds of `work` by `clock`."""
    start = clock()
    work()
    return clock() - start


def _figure(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _commit() -> str:
    """Return the commit, marked if the tree has changes: results of changed code belong to no commit."""
    root = Path(__file__).parent
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no"], cwd=root, capture_output=True, text=True, check=False
    )
    return head.stdout.strip() + ("+changes" if changed.stdout.strip() else "")


def _processor() -> str:
    names = [line.split(":", 1)[1].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
