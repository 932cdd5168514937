"""Timing of work on a device: warm-up, then the median and the spread of repeats.

On a CUDA device each repeat lies between two events, on cold inputs: a buffer larger than the second-level cache is
written in between. On a CPU the clock is `time.perf_counter`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

_CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: the median, and the distance between the quartiles."""

    median: float
    spread: float


def timed_on(device: torch.device, work: Callable[[], Any], *, seconds: float = 0.3, warm_calls: int = 3) -> Timing:
    """Call `work` for about `seconds`, at least 5 times and at most 100, after `warm_calls` calls."""
    for _ in range(warm_calls):
        work()
    once = _one(device, work)
    repeats = max(5, min(100, int(seconds / max(once, 1e-6))))
    times = _on_cuda(work, repeats) if device.type == "cuda" else [_one(device, work) for _ in range(repeats)]
    low, median, high = statistics.quantiles(times, n=4)
    return Timing(median, high - low)


def _one(device: torch.device, work: Callable[[], Any]) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _on_cuda(work: Callable[[], Any], repeats: int) -> list[float]:
    cache = torch.empty(_CACHE_BYTES, dtype=torch.int8, device="cuda")
    pairs = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(repeats)]
    for before, after in pairs:
        cache.zero_()
        before.record()
        work()
        after.record()
    torch.cuda.synchronize()
    return [before.elapsed_time(after) / 1e3 for before, after in pairs]
