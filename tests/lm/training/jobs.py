"""Jobs of several ranks for tests: forked from a server that has torch loaded, described in the environment as
`torchrun` does it, with a store that outlives every rank.
"""

import multiprocessing
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist

from lm.errors import run_command
from lm.parallel import watch
from lm.training import checkpoint_writer
from lm.training.__main__ import main
from tests.lm.training.corpora import arguments


def _rank(environment, log, argv, disk_s):
    os.environ.update(environment)
    if disk_s:
        _slow_down_checkpoints(disk_s)
    os.dup2(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
    sys.stderr.reconfigure(line_buffering=True)
    run_command(main, argv)


def _slow_down_checkpoints(seconds):
    """Let this process write each checkpoint in `seconds`, ten times what its watch leaves it after a failure."""
    watch._GRACE_S = seconds / 10
    write = checkpoint_writer.write_snapshot

    def write_slowly(*args, **kwargs):
        time.sleep(seconds)
        write(*args, **kwargs)

    checkpoint_writer.write_snapshot = write_slowly


class Job:
    """`world_size` ranks that train together, on a disk that takes `disk_s` for a checkpoint; `logs` are what each
    wrote to stderr."""

    def __init__(self, shards: Path, output: Path, world_size: int, disk_s: float = 0, **changes):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["lm.training.pretrain", "torch.distributed", "tests.lm.training.jobs"])
        self._store = dist.TCPStore(
            "127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=30)
        )
        self.logs = [output.with_name(f"{output.name}-{world_size}-{rank}.log") for rank in range(world_size)]
        self.processes = []
        argv = arguments(shards, output, **changes)
        for rank, log in enumerate(self.logs):
            environment = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(world_size),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(self._store.port),
                "TORCHELASTIC_USE_AGENT_STORE": "True",
            }
            process = context.Process(target=_rank, args=(environment, log, argv, disk_s))
            process.start()
            self.processes.append(process)

    def join(self, timeout_s=60):
        """Return the exit codes of all ranks; None of one that has not ended."""
        for process in self.processes:
            process.join(timeout_s)
        return [process.exitcode for process in self.processes]

    def errors(self):
        """Return the lines that begin with `error:` of each rank."""
        return [[line for line in log.read_text().splitlines() if line.startswith("error:")] for log in self.logs]

    def close(self):
        for process in self.processes:
            process.kill()
            process.join()
