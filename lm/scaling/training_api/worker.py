"""Worker of the training API: trains the queued requests one after the other.

`python -m lm.scaling.training_api.worker --home FOLDER --data SHARDS`; the service starts it as a child. SIGTERM and
SIGINT end a training run after a step with a checkpoint and queue it again, so that a restart loses nothing.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from pathlib import Path

from lm.accounting.parameters import count_parameters
from lm.errors import ConflictError, Interrupted, LoamError, NoSpaceError, run_command
from lm.locations import locate
from lm.locks import take
from lm.scaling.training_api.queue import TrainingQueue
from lm.scaling.training_api.request import TrainingRequest
from lm.shards import TokenShards
from lm.storage import open_artifact
from lm.training.metrics import live_rows
from lm.training.pretrain import pretrain
from lm.training.stop import StopSignals

QUEUE = "queue.sqlite"
_POLL_S = 0.2


def queue_at(home: Path, shards: Path, budget_flops: float | None = None) -> tuple[TrainingQueue, int]:
    """Open the queue of a home for these shards; return it with the vocabulary's size."""
    source = open_artifact(shards)
    queue = TrainingQueue(home / QUEUE, budget_flops=budget_flops, shards_digest=source.digest)
    return queue, TokenShards.open(source, "train").vocab_size


def work_once(queue: TrainingQueue, home: Path, shards: Path, vocab_size: int) -> bool:
    """Train the oldest queued request; return whether there was one.

    Raises:
        Interrupted: SIGTERM or SIGINT; the request is queued again.
    """
    taken = queue.take()
    if taken is None:
        return False
    identity, request = taken
    output = home / "runs" / identity
    try:
        trained = pretrain(request.training(vocab_size), shards, output)
    except (Interrupted, ConflictError, NoSpaceError):  # the machine's affair, not the request's
        queue.put_back(identity)
        raise
    except Exception as error:  # whatever it is, the next request must not wait for it
        told = str(error) if isinstance(error, LoamError) else f"{type(error).__name__}: {error}"
        queue.fail(identity, told, _used(request, output, vocab_size))
        return True
    flops = trained.summary["steps"] * request.step_flops(vocab_size)
    queue.finish(
        identity,
        loss=trained.summary["validation_loss"],
        parameters=count_parameters(request.shape(vocab_size)).total,
        tokens=trained.summary["tokens"],
        flops=flops,
    )
    return True


def work(home: Path, shards: Path) -> None:
    """Work until a signal, or until the process that started this one has ended, which counts as SIGTERM.

    A worker of the same home that is still on its way to a checkpoint is waited for.

    Raises:
        Interrupted: SIGTERM or SIGINT.
    """
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    queue, vocab_size = queue_at(home, shards)
    with (home / "worker.lock").open("w") as lock:
        while not take(lock):
            _pause()
        queue.recover()
        while True:
            if not work_once(queue, home, shards, vocab_size):
                _pause()


def _pause() -> None:
    with StopSignals() as signals:
        time.sleep(_POLL_S)
        if signals.received is not None:
            raise Interrupted(
                f"stopped by signal {signals.received} while no training run was active", signals.received
            )


def _end_with(parent: int) -> None:
    """Send SIGTERM to this process when its parent has ended."""
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _used(request: TrainingRequest, output: Path, vocab_size: int) -> float:
    """Return the FLOPs of a failed training: its steps so far, and the one that failed."""
    steps = max((row.get("step", 0) for row in live_rows(output)), default=0)
    return min(steps + 1, request.training(vocab_size).num_steps) * request.step_flops(vocab_size)


def main(argv: list[str] | None = None) -> int:
    """Work in a process of its own."""
    parser = argparse.ArgumentParser(
        prog="python -m lm.scaling.training_api.worker",
        description="Train the queued requests of the training API, one after the other; started by the service.",
    )
    parser.add_argument("--home", type=Path, required=True, help="folder of the queue and the training runs")
    parser.add_argument("--data", type=locate, required=True, metavar="SHARDS", help="a token shards artifact")
    arguments = parser.parse_args(argv)
    work(arguments.home, arguments.data)
    return 0


if __name__ == "__main__":
    run_command(main)
