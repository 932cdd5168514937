"""Triton kernels on a GPU against eager PyTorch, `torch.compile` and Liger; their resources by the compiler's report.

Bandwidth is a share of a measured copy, FLOP/s a share of a measured matrix multiplication. GPU rows read
`not measured` without a GPU; the resources are those of sm_90 and need no GPU.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.kernel_cases import Case, Work, cases
from benchmarks.report import Row, finish, parser
from lm.accounting.throughput import measured_copy_bytes_per_s, measured_matmul_flops
from lm.errors import run_command
from lm.kernels.backend import use_kernels
from lm.progress import track
from lm.systems.timing import timed_on


@dataclass(frozen=True, slots=True)
class Machine:
    """A device with the measured rates of its memory and its tensor cores."""

    device: torch.device
    bytes_per_s: float
    flops: float

    @classmethod
    def measured(cls, device: torch.device) -> Machine:
        """Measure and return the rates of this device."""
        return cls(device, measured_copy_bytes_per_s(device), measured_matmul_flops(device))


def speed_rows(*, toy: bool = False) -> Iterator[Row]:
    """Yield times of every case; `toy` sizes also run in the interpreter."""
    runnable = torch.cuda.is_available() or toy
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    machine = Machine.measured(device) if runnable else None
    if machine is not None:
        yield Row(name="copy", value=machine.bytes_per_s / 1e9, unit="GB/s")
        yield Row(name="product", value=machine.flops / 1e12, unit="TFLOP/s")
    for case in track(cases(toy=toy), "kernels", unit="case"):
        if machine is None:
            yield from _not_measured(case)
        else:
            work = case.make(device)
            yield from _rows(case, work, machine, toy)
            if case.max_memory_share is not None and device.type == "cuda":
                yield _memory_row(case, work)


def _not_measured(case: Case) -> Iterator[Row]:
    """Yield a row for each target of a case, without a value."""
    name = f"{case.name}, forward and backward"
    yield Row(name=name, value=None, unit="share", target=case.target)
    for peer, least in case.least_speeds.items():
        yield Row(name=name, value=None, unit="µs", peer=peer, target=least)
    if case.max_memory_share is not None:
        memory = f"{case.name}, peak memory"
        yield Row(name=memory, value=None, unit="GiB", target=case.max_memory_share, better="lower")


def _memory_row(case: Case, work: Work) -> Row:
    """Return the memory peak of forward and backward above the memory before, with eager's peak."""
    peaks = []
    for is_kernel, call in ((True, work.kernel), (False, work.peers["eager"])):
        with use_kernels("triton" if is_kernel else "reference"):
            torch.cuda.empty_cache()
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            work.backward(call())
            peaks.append(torch.cuda.max_memory_allocated() - before)
    return Row(
        name=f"{case.name}, peak memory",
        value=peaks[0] / 2**30,
        unit="GiB",
        peer=f"eager {peaks[1] / 2**30:.2f} GiB",
        ratio=peaks[0] / peaks[1],
        target=case.max_memory_share,
        better="lower",
    )


def _rows(case: Case, work: Work, machine: Machine, toy: bool) -> Iterator[Row]:
    name = case.name
    passes: list[tuple[str, Callable[[Any], Callable[[], Any]], float, float]] = [
        ("forward", lambda call: call, work.forward_bytes, work.forward_flops),
        ("forward and backward", lambda call: lambda: work.backward(call()), work.both_bytes, work.both_flops),
    ]
    for label, wrap, num_bytes, flops in passes:
        if not num_bytes and not flops:
            continue
        with use_kernels("triton"):
            own = timed_on(machine.device, wrap(work.kernel), seconds=0.0 if toy else 0.3, warm_calls=1 if toy else 3)
        floor = max(num_bytes / machine.bytes_per_s, flops / machine.flops)
        by_bytes = num_bytes / machine.bytes_per_s >= flops / machine.flops
        unit = "of copy" if by_bytes else "of product"
        yield Row(name=f"{name}, {label}", value=floor / own.median, unit=unit, target=case.target)
        yield Row(name=f"{name}, {label}, time", value=own.median * 1e6, unit="µs", peer=f"± {own.spread * 1e6:.1f}")
        if work.items is not None:
            count, noun = work.items
            target = 250_000 if noun == "documents" else None
            yield Row(name=f"{name}, {noun}", value=count / own.median, unit="1/s", target=None if toy else target)
        for peer, call in work.peers.items():
            with use_kernels("reference"):
                other = timed_on(machine.device, wrap(call), seconds=0.0 if toy else 0.3)
            speedup = other.median / own.median
            yield Row(
                name=f"{name}, {label}",
                value=own.median * 1e6,
                unit="µs",
                peer=f"{peer} {other.median * 1e6:.0f} µs",
                ratio=speedup,
                target=case.least_speeds.get(peer),
            )


def resource_rows(*cases: str) -> Iterator[Row]:
    """Yield the largest registers, spills and shared memory of each kernel family, compiled for sm_90."""
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    command = [sys.executable, "-m", "benchmarks.kernel_resources", *cases]
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = sorted((json.loads(line) for line in output.splitlines()), key=lambda row: str(row["kernel"]))
    for kernel, rows in itertools.groupby(found, key=lambda row: str(row["kernel"])):
        group = list(rows)
        largest = {name: max(row[name] for row in group) for name in ("registers", "shared_bytes")}
        spilled = max(row["stack_bytes"] + row["local_bytes"] for row in group)
        name = f"{kernel.removeprefix('triton.')} on sm_90, {len(group)} configurations"
        yield Row(name=f"{name}, registers", value=largest["registers"], unit="a thread", target=255, better="lower")
        yield Row(name=f"{name}, spilled", value=spilled, unit="bytes", target=0, better="lower")
        yield Row(
            name=f"{name}, shared memory", value=largest["shared_bytes"] / 1024, unit="KiB", target=227, better="lower"
        )


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    arguments = parser("kernels", (__doc__ or "").strip()).parse_args(argv)
    return finish("kernels", [*speed_rows(), *resource_rows()], arguments)


if __name__ == "__main__":
    run_command(main)
