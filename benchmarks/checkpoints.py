"""Clock-driven checkpoints: their share of a run's time, and the progress of a repeatedly killed run.

The run is that of `make demo` (preset tiny_cpu, one million tokens) on documents of random ids. The share counts both
the copy, for which the run waits, and the write on a thread, which mostly goes on beside it; it leaves out the last
checkpoint, which every run writes at its end.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.report import Row, finish, parser
from benchmarks.training_cpu import random_shards
from lm.errors import run_command
from lm.model.presets import preset
from lm.progress import track
from lm.storage import Artifact
from lm.training.config import PretrainConfig
from lm.training.metrics import work_folder
from lm.training.pretrain import silent
from lm.training.run import Run
from lm.training.run_checkpoint import checkpoint_folders, step_of
from lm.training.stop import StopSignals

PRESET = "tiny_cpu"
NUM_TOKENS = 1_000_000
MAX_SHARE = 0.02


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("checkpoints", (__doc__ or "").strip())
    options.add_argument("--tokens", type=int, default=NUM_TOKENS, metavar="N", help="tokens of the run")
    options.add_argument("--life", type=float, default=28.0, metavar="S", help="seconds until a kill (default: 28)")
    options.add_argument("--lives", type=int, default=3, metavar="N", help="kills (default: 3)")
    arguments = options.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="loam-checkpoints-") as name:
        folder = Path(name)
        shards = random_shards(folder / "shards", preset(PRESET).vocab_size, 1 << 20)
        rows = [
            *_cost_rows(shards, folder / "whole", arguments.tokens),
            *_killed_rows(shards, folder / "killed", arguments.tokens, arguments.life, arguments.lives),
        ]
    return finish("checkpoints", rows, arguments)


def _settings(num_tokens: int) -> dict[str, Any]:
    return {"preset": PRESET, "num_tokens": num_tokens, "device": "cpu"}


class _TimedRun(Run):
    """A run that sums the seconds of its clock-driven checkpoints, copying and writing separately."""

    copied = written = 0.0
    num_saved = 0

    def _save(self) -> None:
        if self.trainer.step < self.trainer.num_steps:
            super()._save()
            self.writer.wait()  # so that `seconds` are those of this checkpoint
            self.num_saved += 1
            self.copied += self._copy_s
            self.written += self.writer.seconds
        else:
            super()._save()


def _cost_rows(shards: Artifact, output: Path, num_tokens: int) -> list[Row]:
    """Return the share of a run's time that clock-driven checkpoints take."""
    settings = _settings(num_tokens)
    identity = {"config": settings, "inputs": {"token_shards": shards.digest}, "code": "benchmark"}
    run = _TimedRun(PretrainConfig(**settings), shards, None, work_folder(output), identity, silent, StopSignals())
    start = time.perf_counter()
    run.train()
    seconds = time.perf_counter() - start
    return [
        Row(name="training", value=seconds, unit="s", better="lower"),
        Row(name="checkpoints by the clock", value=run.num_saved, unit=""),
        Row(name="  copied, one", value=run.copied / max(1, run.num_saved), unit="s", better="lower"),
        Row(name="  written, one", value=run.written / max(1, run.num_saved), unit="s", better="lower"),
        Row(
            name="  copied and written, share of the time",
            value=(run.copied + run.written) / seconds,
            unit="",
            target=MAX_SHARE,
            better="lower",
        ),
    ]


def _killed_rows(shards: Artifact, output: Path, num_tokens: int, life_s: float, num_lives: int) -> list[Row]:
    """Return the steps that a repeatedly killed run adds to its newest checkpoint between two kills."""
    pairs = [item for name, value in _settings(num_tokens).items() for item in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "lm.training", "--data", str(shards.path), "--out", str(output), *pairs]
    reached = [0]
    for _ in track(range(num_lives), "killed", unit="life"):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(life_s)
            except subprocess.TimeoutExpired:
                process.kill()
        if process.returncode == 0:  # the run has reached its end
            break
        reached.append(max(map(step_of, checkpoint_folders(work_folder(output) / "checkpoints")), default=0))
    gained = [after - before for before, after in itertools.pairwise(reached)]
    return [
        Row(name=f"killed every {life_s:g} s: lives", value=len(gained), unit=""),
        Row(name="  steps on disk that a life adds, fewest", value=min(gained, default=None), unit="steps", target=1),
    ]


if __name__ == "__main__":
    run_command(main)
