"""Ranks that train together, measured: all-reduces by size, the variants of data parallelism, the optimizers' state.

Each rank is a process of one thread on the CPU, which talks by gloo; ranks with GPUs are not measured. Variants take
their steps in turn, so that other work on the machine falls on all alike; medians count.
"""

from __future__ import annotations

import functools
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing import connection
from pathlib import Path
from typing import Any

LOCAL = "no synchronization"
"""The step without communication, beside which the others are held."""
_MB = 1_000_000
_BATCH, _STEPS, _WARM = 2, 5, 1


def measured_ranks(num_ranks: int, sizes_mb: Sequence[int], preset_name: str | None = "tiny_cpu") -> dict[str, Any]:
    """Return rank 0's figures of processes that measure together; without a preset those of all-reduces alone.

    Returns:
        `all_reduce`: seconds by size in MB; `seconds` of a step by variant; `state`: an optimizer's bytes before and
        after a step, by variant; `tokens` of a rank's step.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        answers = context.SimpleQueue()
        meeting = Path(folder) / "meeting"
        processes = [
            context.Process(target=_rank, args=(rank, num_ranks, str(meeting), list(sizes_mb), preset_name, answers))
            for rank in range(num_ranks)
        ]
        for process in processes:
            process.start()
        _wait_for(processes)
        found: dict[str, Any] = answers.get()
    return found


def _wait_for(processes: Sequence[Any]) -> None:
    """Wait until all ranks have ended; if one fails, the others would wait for it forever."""
    try:
        waiting = {process.sentinel: process for process in processes}
        while waiting:
            for sentinel in connection.wait(list(waiting)):
                process = waiting.pop(sentinel)
                process.join()
                if process.exitcode:
                    raise RuntimeError(f"a rank that was measured ended with exit code {process.exitcode}")
    finally:
        for process in processes:
            process.kill()
            process.join()


def _rank(rank: int, num_ranks: int, meeting: str, sizes_mb: list[int], preset_name: str | None, answers: Any) -> None:
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=num_ranks)
    found: dict[str, Any] = {"all_reduce": {size: _all_reduce_seconds(size) for size in sizes_mb}}
    if preset_name is not None:
        found |= _steps(num_ranks, preset_name)
    if rank == 0:
        answers.put(found)
    dist.destroy_process_group()


def _all_reduce_seconds(size_mb: int) -> float:
    import torch
    import torch.distributed as dist

    tensor = torch.ones(size_mb * _MB // 4)
    return _median(lambda: dist.all_reduce(tensor), repeats=3 if size_mb > 100 else 9)


def _steps(num_ranks: int, preset_name: str) -> dict[str, Any]:
    """Return the seconds of a step in every variant, and the state of the optimizers."""
    import torch

    from lm.model import TransformerLM, preset
    from lm.parallel import DDP, FSDP, BucketedDDP, FlatDDP, NaiveDDP, ShardedOptimizer
    from lm.training import AdamW

    bucketed = functools.partial(BucketedDDP, bucket_size_mb=25)
    ways: dict[str, tuple[Callable[..., Any] | None, bool]] = {LOCAL: (None, False)}
    if num_ranks > 1:
        ways |= {"naive": (NaiveDDP, False), "flat": (FlatDDP, False), "overlapped": (DDP, False),
                 "bucketed": (bucketed, False), "zero1": (bucketed, True), "fsdp": (FSDP, False)}  # fmt: skip
    config = preset(preset_name)
    ids = torch.randint(0, config.vocab_size, (_BATCH, config.context_length + 1))
    steps: dict[str, Callable[[], None]] = {}
    optimizers, before = {}, {}
    for name, (wrap, is_sharded) in ways.items():
        torch.manual_seed(0)
        model = TransformerLM(config)
        wrapped = model if wrap is None else wrap(model)
        made = ShardedOptimizer(model.parameters(), AdamW) if is_sharded else AdamW(model.parameters())
        optimizers[name], before[name] = made, _state_bytes(made)
        steps[name] = functools.partial(_step, wrapped, made, ids)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(_WARM + _STEPS):  # in turn, so that other work on the machine falls on all alike
        for name, step in steps.items():
            times[name].append(_seconds(step))
    seconds = {name: statistics.median(found[_WARM:]) for name, found in times.items()}
    state = {name: {"before": before[name], "after": _state_bytes(made)} for name, made in optimizers.items()}
    kept = {name: state[name] for name in (LOCAL, "zero1", "fsdp") if name in state}
    return {"seconds": seconds, "state": kept, "tokens": _BATCH * config.context_length}


def _step(wrapped: Any, optimizer: Any, ids: Any) -> None:
    import torch

    optimizer.zero_grad(set_to_none=True)
    logits = wrapped(ids[:, :-1])
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
    if hasattr(wrapped, "finish_gradient_synchronization"):
        wrapped.finish_gradient_synchronization()
    optimizer.step()


def _state_bytes(optimizer: Any) -> int:
    import torch

    values = (value for kept in optimizer.state.values() for value in kept.values())
    return sum(value.numel() * value.element_size() for value in values if isinstance(value, torch.Tensor))


def _median(work: Callable[[], Any], *, repeats: int) -> float:
    return statistics.median([_seconds(work) for _ in range(1 + repeats)][1:])


def _seconds(work: Callable[[], Any]) -> float:
    """Return the seconds of a call that all ranks begin together."""
    import torch.distributed as dist

    dist.barrier()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
