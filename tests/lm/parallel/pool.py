"""A pool of ranks: processes of one gloo group that run many small cases, since starting them costs seconds."""

import contextlib
import multiprocessing
import tempfile
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

TIMEOUT_S = 120


def _serve(rank, world_size, meeting, requests: Connection):
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world_size)
    with contextlib.suppress(EOFError):
        while True:
            function, arguments = requests.recv()
            try:
                requests.send((function(rank, world_size, *arguments), None))
            except Exception:
                requests.send((None, traceback.format_exc()))
    dist.destroy_process_group()


class Ranks:
    """`world_size` processes; a call runs one function in all of them at once."""

    def __init__(self, world_size):
        self.world_size = world_size
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["lm.training.pretrain", "torch.distributed", "tests.lm.parallel.cases"])
        self._folder = tempfile.TemporaryDirectory()
        pairs = [context.Pipe() for _ in range(world_size)]
        meeting = Path(self._folder.name) / "meeting"
        self._connections = [own for own, _ in pairs]
        self.processes = [
            context.Process(target=_serve, args=(rank, world_size, meeting, theirs), daemon=True)
            for rank, (_, theirs) in enumerate(pairs)
        ]
        for process, (_, theirs) in zip(self.processes, pairs, strict=True):
            process.start()
            theirs.close()

    def __call__(self, function, *arguments):
        """Return what `function(rank, world_size, *arguments)` returned in each rank."""
        for connection in self._connections:
            connection.send((function, arguments))
        answers = []
        for rank, connection in enumerate(self._connections):
            assert connection.poll(TIMEOUT_S), f"rank {rank} does not answer"
            answers.append(connection.recv())
        for rank, (_, error) in enumerate(answers):
            assert error is None, f"rank {rank}: {error}"
        return [value for value, _ in answers]

    def close(self):
        for connection in self._connections:
            connection.close()
        for process in self.processes:
            process.join(10)
            process.kill()
        self._folder.cleanup()
