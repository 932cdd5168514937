"""Many ranks: all-reduce by size, variants of DDP, memory of the sharded optimizer, scaling, and the cost model."""

from __future__ import annotations

import functools
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.report import Row, finish, parser
from lm.errors import run_command

SIZES_MB = (1, 16, 128, 1_000)
_MB = 1_000_000
_BATCH, _STEPS, _WARM = 2, 5, 1
_PRESET = "tiny_cpu"


def rows(num_ranks: int, sizes_mb: list[int]) -> Iterator[Row]:
    """Measure with `num_ranks` processes of one thread each, and with one."""
    many, alone = _measured(num_ranks, sizes_mb), _measured(1, [])
    for size in sizes_mb:
        seconds = many["all_reduce"][size]
        moved = 2 * (num_ranks - 1) / num_ranks * size / 1_000 / seconds
        yield Row(name=f"all-reduce of {size} MB, {num_ranks} ranks", value=moved, unit="GB/s a rank")
    local = many["seconds"]["no synchronization"]
    for name, seconds in many["seconds"].items():
        yield Row(name=f"step, {name}", value=1_000 * seconds, unit="ms", peer="no synchronization",
                  ratio=seconds / local, better="lower")  # fmt: skip
        if name != "no synchronization":
            yield Row(name=f"communication's share, {name}", value=max(0.0, 1 - local / seconds), unit="of the step")
    for name, sizes in many["state"].items():
        for moment, size in sizes.items():
            yield Row(name=f"optimizer's state {moment} a step, {name}", value=size / _MB, unit="MB a rank")
    speedup = num_ranks * alone["seconds"]["no synchronization"] / many["seconds"]["bucketed"]
    yield Row(name=f"tokens/s of {num_ranks} ranks", value=many["tokens"] * num_ranks / many["seconds"]["bucketed"],
              unit="tokens/s", peer="one rank", ratio=speedup)  # fmt: skip
    yield from _model_rows(num_ranks, sizes_mb, many)


def _model_rows(num_ranks: int, sizes_mb: list[int], many: Mapping[str, Any]) -> Iterator[Row]:
    """Measured steps over those of the cost model, with bandwidth and FLOP/s as measured here."""
    from lm.accounting import training_flops_per_token
    from lm.accounting.parallelism import Strategy, step_time
    from lm.model.presets import preset

    config, size = preset(_PRESET), sizes_mb[-1]
    bandwidth = 2 * (num_ranks - 1) / num_ranks * size * _MB / many["all_reduce"][size]
    rate = many["tokens"] * training_flops_per_token(config) / many["seconds"]["no synchronization"]
    measured_as: dict[Strategy, str] = {"ddp": "bucketed", "zero1": "zero1", "fsdp": "fsdp"}
    for strategy, measured in measured_as.items():
        found = step_time(config, strategy, tokens_per_rank=many["tokens"], num_ranks=num_ranks, flops_per_s=rate,
                          bytes_per_s=bandwidth)  # fmt: skip
        seconds = many["seconds"][measured]
        yield Row(name=f"measured step, {measured}", value=1_000 * seconds, unit="ms", peer="cost model",
                  ratio=seconds / found.total_s)  # fmt: skip


def _measured(num_ranks: int, sizes_mb: list[int]) -> dict[str, Any]:
    """Return rank 0's figures of processes that measure together."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        answers = context.SimpleQueue()
        meeting = Path(folder) / "meeting"
        processes = [
            context.Process(target=_rank, args=(rank, num_ranks, str(meeting), sizes_mb, answers))
            for rank in range(num_ranks)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            if process.exitcode:
                raise RuntimeError(f"a rank of the benchmark ended with {process.exitcode}")
        found: dict[str, Any] = answers.get()
    return found


def _rank(rank: int, num_ranks: int, meeting: str, sizes_mb: list[int], answers: Any) -> None:
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=num_ranks)
    found: dict[str, Any] = {"all_reduce": {size: _all_reduce_seconds(size) for size in sizes_mb}}
    found |= _steps(num_ranks)
    if rank == 0:
        answers.put(found)
    dist.destroy_process_group()


def _all_reduce_seconds(size_mb: int) -> float:
    import torch
    import torch.distributed as dist

    tensor = torch.ones(size_mb * _MB // 4)
    return _median(lambda: dist.all_reduce(tensor), repeats=3 if size_mb > 100 else 9)


def _steps(num_ranks: int) -> dict[str, Any]:
    """Return the seconds of a step in every variant, and the state of the optimizers."""
    import torch

    from lm.model import TransformerLM, preset
    from lm.parallel import DDP, FSDP, BucketedDDP, FlatDDP, NaiveDDP, ShardedOptimizer
    from lm.training import AdamW

    bucketed = functools.partial(BucketedDDP, bucket_size_mb=25)
    ways: dict[str, tuple[Callable[..., Any] | None, bool]] = {"no synchronization": (None, False)}
    if num_ranks > 1:
        ways |= {"naive": (NaiveDDP, False), "flat": (FlatDDP, False), "overlapped": (DDP, False),
                 "bucketed": (bucketed, False), "zero1": (bucketed, True), "fsdp": (FSDP, False)}  # fmt: skip
    config = preset(_PRESET)
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
    kept = {name: state[name] for name in ("no synchronization", "zero1", "fsdp") if name in state}
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


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    options = parser("parallel", (__doc__ or "").strip())
    options.add_argument("--ranks", type=int, default=2, help="processes of one thread each (default: 2)")
    options.add_argument("--sizes-mb", type=int, nargs="+", default=list(SIZES_MB), help="of the all-reduces")
    arguments = options.parse_args(argv)
    return finish("parallel", rows(arguments.ranks, arguments.sizes_mb), arguments)


if __name__ == "__main__":
    run_command(main)
