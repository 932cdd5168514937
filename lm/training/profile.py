"""The profile of a training step: a trace, the memory, and a table of where the time goes.

    WORK/profile/trace.json.gz    a torch profiler trace with named ranges; opens in https://ui.perfetto.dev
    WORK/profile/memory.json      bytes held after each allocation and release, by microsecond (CPU), or
    WORK/profile/memory.pickle    the allocator's snapshot for https://pytorch.org/memory_viz (GPU)
    WORK/profile/profile.json     seconds of a step by part, forward and backward, and the peak of memory

Two steps of the run are profiled, and they train as any other: one is timed part by part, the next is traced. Timing
waits for the GPU at every border, so its step is slower than the others; the shares are those of the work.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from lm.accounting.measured_memory import without_profiler_noise
from lm.training.metrics import PROFILE
from lm.training.spans import Spans
from lm.training.trainer import StepResult, Trainer

TRACE, MEMORY, SNAPSHOT = "trace.json.gz", "memory.json", "memory.pickle"
REST = "the rest"


def timed_step(trainer: Trainer, folder: Path) -> StepResult:
    """Run one training step and write the seconds of its parts."""
    folder.mkdir(parents=True, exist_ok=True)
    spans = Spans(trainer.model.device, waits=True)
    with spans.watching(trainer.model, parts=trainer.runs_by_operation), trainer.named_by(spans), spans(REST):
        result = trainer.train_step()
    rows = [{"part": name, "seconds": seconds} for name, seconds in spans.seconds.items()]
    found = {"step": result.step, "device": str(trainer.model.device), "parts": rows}
    (folder / PROFILE).write_text(json.dumps(found, indent=2) + "\n")
    return result


def traced_step(trainer: Trainer, folder: Path) -> StepResult:
    """Run one training step under torch's profiler and write its trace and its memory."""
    folder.mkdir(parents=True, exist_ok=True)
    on_gpu = trainer.model.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    spans = Spans(trainer.model.device, waits=False)
    if on_gpu:
        torch.cuda.memory._record_memory_history()
    watched = spans.watching(trainer.model, parts=trainer.runs_by_operation)
    with (
        without_profiler_noise(),
        profile(activities=activities, profile_memory=True) as profiler,
        watched,
        trainer.named_by(spans),
    ):
        result = trainer.train_step()
    profiler.export_chrome_trace(str(folder / TRACE))
    if on_gpu:
        torch.cuda.memory._dump_snapshot(str(folder / SNAPSHOT))
        torch.cuda.memory._record_memory_history(enabled=None)
    curve = memory_curve(read_trace(folder / TRACE))
    (folder / MEMORY).write_text(json.dumps(curve) + "\n")
    _note_peak(folder / PROFILE, max((held for _, held in curve), default=0))
    return result


def read_trace(path: Path) -> dict[str, Any]:
    """Return a trace in Chrome's format."""
    with gzip.open(path, "rt") as stream:
        found: dict[str, Any] = json.load(stream)
    return found


def memory_curve(trace: Mapping[str, Any]) -> list[tuple[float, int]]:
    """Return the microsecond of each allocation and release in a trace, and the bytes that torch held after it."""
    events = [event for event in trace["traceEvents"] if event.get("name") == "[memory]"]
    held = sorted((event["ts"], event["args"]) for event in events if "Total Allocated" in event.get("args", {}))
    first = held[0][0] if held else 0.0
    return [(round(moment - first, 3), arguments["Total Allocated"]) for moment, arguments in held]


def _note_peak(path: Path, peak_bytes: int) -> None:
    found = json.loads(path.read_text()) if path.exists() else {"parts": []}
    path.write_text(json.dumps({**found, "peak_bytes": peak_bytes}, indent=2) + "\n")
