"""Peak of tensor memory on a CPU, by the events of torch's profiler: the process's own size is mostly libraries.

On a CUDA device the allocator keeps the peak itself (`torch.cuda.max_memory_allocated`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import TypeVar

from torch.profiler import ProfilerActivity, profile

T = TypeVar("T")
_NOISE = (b"SyncActivityProfilerHandler", b"allocated before the profiling started")


def peak_new_bytes(work: Callable[[], T]) -> tuple[T, int]:
    """Call `work`; return its result and the most bytes of CPU tensors that it had allocated at once and not yet freed.
    Tensors from before the call do not count, nor does their release.
    """
    with without_profiler_noise(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = work()
    inner = profiler.profiler
    assert inner is not None
    alive: dict[int, int] = {}
    now = peak = 0
    for event in inner.kineto_results.experimental_event_tree():
        for size, pointer in _allocations(event):
            if size > 0:
                alive[pointer] = size
                now += size
            else:
                now -= alive.pop(pointer, 0)
            peak = max(peak, now)
    return result, peak


def _allocations(root: object) -> list[tuple[int, int]]:
    """Return (bytes, address) of the allocations below an event, in the order of time; a release has negative bytes."""
    found, waiting = [], [root]
    while waiting:
        event = waiting.pop()
        if event.name == "[memory]":  # type: ignore[attr-defined]
            fields = event.extra_fields  # type: ignore[attr-defined]
            found.append((event.start_time_ns, fields.alloc_size, fields.ptr))  # type: ignore[attr-defined]
        waiting.extend(event.children)  # type: ignore[attr-defined]
    return [(size, pointer) for _, size, pointer in sorted(found)]


@contextlib.contextmanager
def without_profiler_noise() -> Iterator[None]:
    """Leave out the lines that torch's profiler writes to standard error while nothing is wrong."""
    sys.stderr.flush()
    standard_error = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
            written.seek(0)
            os.write(2, b"".join(line for line in written if not any(sign in line for sign in _NOISE)))
