"""Distributed training: all-reduce, variants of DDP, memory of the sharded optimizer, scaling, and the cost model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.report import Row, finish, parser
from lm.errors import run_command
from lm.systems.ranks import LOCAL, measured_ranks

SIZES_MB = (1, 16, 128, 1_000)
_MB = 1_000_000
_PRESET = "tiny_cpu"


def rows(ranks: list[int], sizes_mb: list[int]) -> Iterator[Row]:
    """Measure all-reduces at each number of ranks, and steps at the first of these numbers and at one rank.

    Every rank is a process with one thread.
    """
    num_ranks = ranks[0]
    many, alone = measured_ranks(num_ranks, sizes_mb, _PRESET), measured_ranks(1, [], _PRESET)
    yield from _all_reduce_rows(num_ranks, many["all_reduce"])
    for number in ranks[1:]:
        yield from _all_reduce_rows(number, measured_ranks(number, sizes_mb, None)["all_reduce"])
    local = many["seconds"][LOCAL]
    for name, seconds in many["seconds"].items():
        yield Row(name=f"step, {name}", value=1_000 * seconds, unit="ms", peer=LOCAL,
                  ratio=seconds / local, better="lower")  # fmt: skip
        if name != LOCAL:
            yield Row(name=f"communication's share, {name}", value=max(0.0, 1 - local / seconds), unit="of the step")
    for name, sizes in many["state"].items():
        for moment, size in sizes.items():
            yield Row(name=f"optimizer's state {moment} a step, {name}", value=size / _MB, unit="MB a rank")
    speedup = num_ranks * alone["seconds"][LOCAL] / many["seconds"]["bucketed"]
    yield Row(name=f"tokens/s of {num_ranks} ranks", value=many["tokens"] * num_ranks / many["seconds"]["bucketed"],
              unit="tokens/s", peer="one rank", ratio=speedup)  # fmt: skip
    yield from _model_rows(num_ranks, sizes_mb, many)


def _all_reduce_rows(num_ranks: int, seconds: Mapping[int, float]) -> Iterator[Row]:
    for size, taken in seconds.items():
        moved = 2 * (num_ranks - 1) / num_ranks * size / 1_000 / taken
        yield Row(name=f"all-reduce of {size} MB, {num_ranks} ranks", value=moved, unit="GB/s a rank")


def _model_rows(num_ranks: int, sizes_mb: list[int], many: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the ratios of measured to predicted steps, with the measured bandwidth and FLOP/s."""
    from lm.accounting import training_flops_per_token
    from lm.accounting.parallelism import Strategy, step_time
    from lm.model.presets import preset

    config, size = preset(_PRESET), sizes_mb[-1]
    bandwidth = 2 * (num_ranks - 1) / num_ranks * size * _MB / many["all_reduce"][size]
    rate = many["tokens"] * training_flops_per_token(config) / many["seconds"][LOCAL]
    measured_as: dict[Strategy, str] = {"ddp": "bucketed", "zero1": "zero1", "fsdp": "fsdp"}
    for strategy, measured in measured_as.items():
        found = step_time(config, strategy, tokens_per_rank=many["tokens"], num_ranks=num_ranks, flops_per_s=rate,
                          bytes_per_s=bandwidth)  # fmt: skip
        seconds = many["seconds"][measured]
        yield Row(name=f"measured step, {measured}", value=1_000 * seconds, unit="ms", peer="cost model",
                  ratio=seconds / found.total_s)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("parallel", (__doc__ or "").strip())
    options.add_argument(
        "--ranks",
        type=int,
        nargs="+",
        default=[2, 4],
        help="numbers of ranks, each a process with one thread; steps are measured at the first (default: 2 4)",
    )
    options.add_argument("--sizes-mb", type=int, nargs="+", default=list(SIZES_MB), help="sizes of the all-reduces")
    arguments = options.parse_args(argv)
    return finish("parallel", rows(arguments.ranks, arguments.sizes_mb), arguments)


if __name__ == "__main__":
    run_command(main)
