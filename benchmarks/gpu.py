"""All GPU measurements, the most important first, within `--minutes`.

Each part runs in its own process, which ends after its share of the time. Each row is printed immediately, and the JSON
is rewritten after every row, so an interrupted run keeps its figures. `--dry-run` runs every part at a toy size on a
CPU, the kernels in Triton's interpreter. Needs only `lm` and its dependencies.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from benchmarks.report import Row, facts, parser, print_row
from lm.errors import run_command

ROOT = Path(__file__).parents[1]
_PREFIX = "ROW "


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the run, and the share of the whole time that it may take at most."""

    name: str
    share: float


PARTS = (
    Part("tests", 0.3),
    Part("kernels", 0.35),
    Part("training", 0.6),
    Part("decoding", 0.3),
    Part("attention", 0.6),
    Part("memory", 1.0),
    Part("precision", 1.0),
)
TEST_FILES = ("flash_attention", "cross_entropy", "rms_norm", "layer_norm", "swiglu_and_rope", "adamw", "minhash")

# The interpreter of triton 3.6 converts arrays in a way that NumPy 2.3 deprecates.
_QUIET = ("-W", "ignore:Conversion of an array:DeprecationWarning")
_PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", *_QUIET, "-m", "gpu or kernel")
_COUNTS = re.compile(r"(\d+)(?:/\d+)? (passed|failed|errors?|tests collected)")


def part_rows(name: str, *, toy: bool) -> Iterator[Row]:
    """Return the rows of a part, imported here so that a broken part does not affect other parts."""
    if name == "kernels":
        from benchmarks.kernels import speed_rows

        return speed_rows(toy=toy)
    if name == "training":
        from benchmarks.training_gpu import gpu_rows

        return gpu_rows(toy=toy)
    if name == "decoding":
        from benchmarks import decoding

        return decoding.rows(toy=toy)
    if name == "attention":
        from benchmarks import attention

        return attention.rows(toy=toy)
    if name == "memory":
        from benchmarks import memory

        return memory.rows(toy=toy)
    from benchmarks import precision

    return precision.rows(toy=toy)


class Report:
    """The rows so far, on the terminal and in the file."""

    def __init__(self, target: Path | None, *, toy: bool = False) -> None:
        self.rows: list[Row] = []
        self._target, self._toy = target, toy

    def add(self, row: Row) -> None:
        """Print a row and write the file with it."""
        self.rows.append(row)
        print_row(row)
        if self._target is not None:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            partial = self._target.with_suffix(".part")
            found = {**facts("gpu", self.rows), "device": _device(), "dry_run": self._toy}
            partial.write_text(json.dumps(found, indent=2) + "\n")
            partial.replace(self._target)


def run(report: Report, minutes: float, *, toy: bool) -> int:
    """Run all parts; returns 1 where a test or a part failed, else 0."""
    end = time.monotonic() + 60 * minutes
    failed = False
    for part in PARTS:
        left = end - time.monotonic()
        limit = time.monotonic() + min(left, 60 * minutes * part.share)
        if left <= 1:
            report.add(Row(name=f"{part.name}: no time left", value=None, unit=""))
        elif part.name == "tests":
            failed |= _tests(report, limit, toy=toy)
        else:
            command = ["-m", "benchmarks.gpu", "--part", part.name, *(["--dry-run"] if toy else [])]
            failed |= _part(report, part.name, command, limit, toy=toy)
    return int(failed)


def _part(report: Report, name: str, command: list[str], limit: float, *, toy: bool) -> bool:
    process = _start(command, toy=toy)
    for line in _lines(process, limit):
        if line.startswith(_PREFIX):
            report.add(Row(**json.loads(line.removeprefix(_PREFIX))))
    code = _ended(process)
    if code is None:
        report.add(Row(name=f"{name}: stopped at its share of the time", value=None, unit=""))
    elif code:
        report.add(Row(name=f"{name}: ended early", value=code, unit="exit code", target=0, better="lower"))
    return bool(code)


def _tests(report: Report, limit: float, *, toy: bool) -> bool:
    """Run the GPU tests, one process per file, in parallel; a dry run runs the smallest file and loads the others."""
    names = ("minhash",) if toy else (*TEST_FILES, "")
    processes = {name or "the rest": _start(_test_command(name), toy=toy) for name in names}
    if toy:
        processes["every file"] = _start([*_PYTEST, "--collect-only", "tests/lm"], toy=toy)
    failed = False
    for name, process in processes.items():
        output = "\n".join(_lines(process, limit))
        code = _ended(process)
        counts = {word: int(number) for number, word in _COUNTS.findall(output)}
        wrong = sum(count for word, count in counts.items() if word not in ("passed", "tests collected"))
        good = "tests collected" if "tests collected" in counts else "passed"
        report.add(Row(name=f"tests of {name}: {good.removeprefix('tests ')}", value=counts.get(good), unit="tests"))
        if code not in (0, 5):  # 5: no test was chosen
            print(output[-4_000:], file=sys.stderr)
            state = "stopped" if code is None else "failed"
            report.add(
                Row(name=f"tests of {name}: {state}", value=wrong or None, unit="tests", target=0, better="lower")
            )
            failed |= code is not None
    return failed


def _test_command(name: str) -> list[str]:
    if name:
        return [*_PYTEST, f"tests/lm/kernels/test_{name}.py"]
    ignored = [f"--ignore=tests/lm/kernels/test_{other}.py" for other in TEST_FILES]
    return [*_PYTEST, *ignored, "tests/lm"]


def _start(command: Sequence[str], *, toy: bool) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    environment["TRITON_INTERPRET"] = "1" if toy else "0"
    if toy:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, errors="replace"
    )


def _lines(process: subprocess.Popen[str], limit: float) -> Iterator[str]:
    """Yield the lines of a process until it ends or the clock reaches `limit`; then stop it."""
    lines: queue.Queue[str | None] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=max(0.0, limit - time.monotonic()))
        except queue.Empty:
            process.kill()
            return
        if line is None:
            return
        yield line


def _read(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    with stream:
        for line in stream:
            lines.put(line.rstrip("\n"))
    lines.put(None)


def _ended(process: subprocess.Popen[str]) -> int | None:
    """Return the exit code, or None if the process was stopped."""
    code = process.wait()
    return None if code == -9 else code


def _device() -> dict[str, Any]:
    import torch

    if not torch.cuda.is_available():
        return {"name": "no GPU"}
    properties = torch.cuda.get_device_properties(0)
    return {"name": properties.name, "memory_gib": properties.total_memory / 2**30, "cuda": torch.version.cuda}


def _print_part(name: str, *, toy: bool) -> int:
    for row in part_rows(name, toy=toy):
        print(_PREFIX + json.dumps(asdict(row)), flush=True)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("gpu", (__doc__ or "").strip())
    options.add_argument("--minutes", type=float, default=8, metavar="M", help="when to stop (default: 8)")
    options.add_argument("--dry-run", action="store_true", help="every part at a toy size, on a CPU")
    options.add_argument("--part", choices=[part.name for part in PARTS], help=argparse.SUPPRESS)
    arguments = options.parse_args(argv)
    if arguments.part:
        return _print_part(arguments.part, toy=arguments.dry_run)
    report = Report(arguments.json, toy=arguments.dry_run)
    code = run(report, arguments.minutes, toy=arguments.dry_run)
    return int(code or (arguments.check and any(row.missed for row in report.rows)))


if __name__ == "__main__":
    run_command(main)
