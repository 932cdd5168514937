"""Jobs of several ranks for tests: forked from a server that has torch loaded, described in the environment as
`torchrun` does it, with a store that outlives every rank.
"""

import multiprocessing
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist

from lm.errors import run_command
from lm.training.__main__ import main
from tests.lm.training.corpora import arguments


def _rank(environment, log, argv):
    os.environ.update(environment)
    os.dup2(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
    sys.stderr.reconfigure(line_buffering=True)
    run_command(main, argv)


class Job:
    """`world_size` ranks that train together; `logs` are what each wrote to stderr."""

    def __init__(self, shards: Path, output: Path, world_size: int, **changes):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["lm.training.pretrain", "torch.distributed", "tests.lm.training.jobs"])
        self._store = dist.TCPStore(
            "127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=30)
        )
        self.logs = [output.with_name(f"{output.name}-{world_size}-{rank}.log") for rank in range(world_size)]
        self.processes = []
        for rank, log in enumerate(self.logs):
            environment = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(world_size),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(self._store.port),
                "TORCHELASTIC_USE_AGENT_STORE": "True",
            }
            process = context.Process(target=_rank, args=(environment, log, arguments(shards, output, **changes)))
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
