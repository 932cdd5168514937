"""Runs of several ranks by `torchrun` against one process: the largest difference of a weight after 20 steps.

Two ranks with each strategy; then two ranks of which one is killed (SIGKILL) once there is a checkpoint, resumed by one
rank and by four. `--shards` takes token shards, such as those of the demo; the default is documents of random ids.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.report import Row, finish, parser
from lm.errors import run_command
from lm.progress import track

MOST = 1e-6
_SETTINGS: Mapping[str, object] = {
    "num_steps": 20, "batch_size": 4, "microbatch_size": 1, "optimizer": "adamw", "learning_rate": 3e-3,
    "warmup_steps": 2, "epsilon": 1e-3, "device": "cpu", "num_threads": 1, "evaluation_tokens": 1_000,
    "evaluation_interval": 0, "checkpoint_interval": 2,
}  # fmt: skip
"""A large epsilon: Adam divides by gradients of almost 0, where the order of a sum would decide the sign."""
_WAYS: Mapping[str, Mapping[str, object]] = {
    **{way: {"data_parallel": way} for way in ("ddp", "zero1", "zero2", "fsdp", "fully_shard")},
    "tensor": {"tensor_parallel": 2},
}
_MOST_S = 600


def rows(shards: Path, folder: Path) -> Iterator[Row]:
    """Yield the rows of all runs; each run has its own process or processes."""
    _end(_start(shards, folder / "one", 1, {}), "one process")
    for way in track(_WAYS, "strategies", unit="run"):
        _end(_start(shards, folder / way, 2, _WAYS[way]), way)
        yield _row(f"2 ranks, {way}", folder / way, folder / "one")
    for num_ranks in (1, 4):
        output = folder / f"killed, then {num_ranks}"
        _kill_a_rank(_start(shards, output, 2, _WAYS["zero1"]), output)
        _end(_start(shards, output, num_ranks, _WAYS["zero1"]), f"{num_ranks} ranks")
        yield _row(f"2 ranks, one killed, continued by {num_ranks}", output, folder / "one")


def _start(shards: Path, output: Path, num_ranks: int, changes: Mapping[str, object]) -> subprocess.Popen[bytes]:
    pairs = [item for name, value in {**_SETTINGS, **changes}.items() for item in ("--set", f"{name}={value}")]
    training = ["-m", "lm.training", "--preset", "test", "--data", str(shards), "--out", str(output), *pairs]
    ranks = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_ranks)]
    log = output.with_suffix(f".{num_ranks}.log").open("wb")
    command = [sys.executable, *(ranks if num_ranks > 1 else []), *training]
    return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})


def _end(process: subprocess.Popen[bytes], name: str) -> None:
    if code := process.wait(_MOST_S):
        raise RuntimeError(f"{name}: ended with exit code {code}")


def _kill_a_rank(launcher: subprocess.Popen[bytes], output: Path) -> None:
    """Kill the last rank of a job with a checkpoint; leave a job that has ended."""
    checkpoints = output.with_name(f"{output.name}.work") / "checkpoints"
    while launcher.poll() is None and not list(checkpoints.glob("step-*/manifest.json")):
        time.sleep(0.01)
    if launcher.poll() is None:
        children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
    if launcher.wait(_MOST_S) == 0:
        raise RuntimeError("no rank was killed before the job ended")


def _row(name: str, output: Path, alone: Path) -> Row:
    from lm.model.files import load_tensors
    from lm.storage import open_artifact

    found, expected = (load_tensors(open_artifact(path).file("model.safetensors")) for path in (output, alone))
    most = max(float((found[key] - tensor).abs().max()) for key, tensor in expected.items())
    return Row(name=f"{name}: largest difference", value=most, unit="of a weight", peer="one process", target=MOST,
               better="lower")  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("many_ranks", (__doc__ or "").strip())
    options.add_argument("--shards", type=Path, metavar="FOLDER", help="token shards (default: random ids)")
    arguments = options.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        shards = arguments.shards
        if shards is None:
            from benchmarks.training_cpu import random_shards

            shards = random_shards(Path(folder) / "shards", 512, 1 << 15).path
        return finish("many_ranks", rows(shards, Path(folder)), arguments)


if __name__ == "__main__":
    run_command(main)
