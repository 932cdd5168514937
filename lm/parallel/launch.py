"""Ranks of a job: joining the process group that `torchrun` describes in the environment.

    torchrun --standalone --nproc-per-node 8 -m lm.training …                       one machine
    torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m lm.training …    on each

Any launcher that sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT does (Slurm's `srun`, MPI).
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist

from lm.errors import ConfigurationError
from lm.parallel.watch import SILENCE_S, Failure, RankWatch

_NEEDED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_COLLECTIVE_TIMEOUT = datetime.timedelta(hours=1)
"""The longest wait in a collective, while one rank evaluates: lost ranks are found by the watch, not by this."""

_STORE_TIMEOUT = datetime.timedelta(minutes=5)
_watches: list[RankWatch] = []
"""The watch of this process, where there is one."""


def launched_ranks() -> int:
    """Return the number of ranks that a launcher's environment describes; 1 without one."""
    return _number("WORLD_SIZE") if "WORLD_SIZE" in os.environ else 1


def launched_rank() -> int:
    """Return this process's rank in the launcher's environment; 0 without one."""
    return _number("RANK") if "RANK" in os.environ else 0


@contextlib.contextmanager
def joined(
    *, silence_s: float = SILENCE_S, on_failure: Callable[[Failure], None] = lambda failure: None
) -> Iterator[RankWatch | None]:
    """Join the job's process group while entered, under the watch over its ranks; None where there is one process.

    On a GPU the ranks of a machine take one each by LOCAL_RANK, with NCCL; numbers on the CPU travel by gloo.

    Raises:
        ConfigurationError: the environment is incomplete.
        RankLostError: another rank ended, stopped or failed.
    """
    if launched_ranks() == 1 or dist.is_initialized():
        yield None
        return
    if missing := [name for name in _NEEDED if name not in os.environ]:
        raise ConfigurationError(f"{missing[0]}: not set, but WORLD_SIZE is; expected a launcher such as torchrun")
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(_number("LOCAL_RANK") % torch.cuda.device_count())
    backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
    store = _store()
    round_ = _round(store)
    dist.init_process_group(
        backend,
        store=dist.PrefixStore(f"loam-{round_}", store),
        rank=launched_rank(),
        world_size=launched_ranks(),
        timeout=_COLLECTIVE_TIMEOUT,
    )
    try:
        # A client of its own, since a thread uses it.
        watched = dist.PrefixStore(f"loam-watch-{round_}", _store(hosts=False))
        watch = RankWatch(watched, dist.get_rank(), dist.get_world_size(), silence_s=silence_s, on_failure=on_failure)
        dist.barrier()  # the store has no failure of an earlier start: see RankWatch
        _watches.append(watch)
        with watch, watch.explained():
            yield watch
            dist.barrier()
    finally:
        _watches.clear()
        dist.destroy_process_group()


def explained() -> contextlib.AbstractContextManager[None]:
    """Turn errors of collectives into a `RankLostError` while entered: see `RankWatch.explained`."""
    return _watches[0].explained() if _watches else contextlib.nullcontext()


def note_step(step: int) -> None:
    """Note the last step that this rank has done, for the message where it is lost."""
    for watch in _watches:
        watch.note_step(step)


def from_first(value: Any) -> Any:
    """Return rank 0's value, of plain Python, on every rank."""
    if not (dist.is_initialized() and dist.get_world_size() > 1):
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
    return values[0]


def largest(*values: int) -> tuple[int, ...]:
    """Return the largest of each value over all ranks."""
    if not (dist.is_initialized() and dist.get_world_size() > 1):
        return values
    numbers = torch.tensor(values)
    dist.all_reduce(numbers, op=dist.ReduceOp.MAX)
    return tuple(numbers.tolist())


def _store(*, hosts: bool = True) -> dist.Store:
    """Return a client of the job's store, which torchrun hosts, or else rank 0 in its first client."""
    is_hosted = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    is_host = hosts and not is_hosted and launched_rank() == 0
    host, port = os.environ["MASTER_ADDR"], _number("MASTER_PORT")
    return dist.TCPStore(host, port, is_master=is_host, timeout=_STORE_TIMEOUT, wait_for_workers=False)


def _round(store: dist.Store) -> str:
    """Return a name for this start of the job: torchrun keeps one store, and the keys of ranks that are gone with it.

    On one machine it is the number of restarts. The launchers of several machines count these apart, so there each rank
    counts its own starts at this number of ranks, which all ranks begin together.
    """
    if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
        return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return f"{launched_ranks()}-{store.add(f'loam-starts-{launched_ranks()}-{launched_rank()}', 1)}"


def _number(name: str) -> int:
    try:
        return int(os.environ[name])
    except ValueError:
        raise ConfigurationError(f"{name}: {os.environ[name]!r}, expected a number, as a launcher sets it") from None
