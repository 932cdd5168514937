"""What a run says: a log of numbers that repeat exactly, and a live view of those that depend on the clock.

The log (step, loss, learning rate, gradient norm, tokens, validation loss) belongs to the result and to each
checkpoint: the same run writes the same bytes. The live view (with tokens/s, time left, memory) goes to the caller's
`report`, to `live.jsonl` and, where tensorboard is installed, to its event files, all in the work folder.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from lm.progress import bar
from lm.training.trainer import StepResult

Report = Callable[[Mapping[str, object]], None]


class MetricsLog:
    """The lines of metrics.jsonl."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add_step(self, result: StepResult) -> None:
        """One training step."""
        self.rows.append(result.row())

    def add_validation(self, step: int, loss: float) -> None:
        """One look at the validation split."""
        self.rows.append({"step": step, "validation_loss": loss})

    def values(self, name: str) -> list[float]:
        """One column, without the rows that lack it."""
        return [row[name] for row in self.rows if name in row]

    def write(self, path: Path) -> None:
        """One JSON object a line; floats by their shortest exact form."""
        path.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in self.rows))

    def read(self, path: Path) -> None:
        """Take over the rows that an earlier part of the run wrote."""
        self.rows = [json.loads(line) for line in path.read_text().splitlines()]


class LiveView:
    """Progress bar, `report`, live.jsonl and TensorBoard; use as a context manager."""

    def __init__(self, work: Path, report: Report, *, first_step: int, num_steps: int, device: torch.device) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self._report, self._num_steps, self._device = report, num_steps, device
        self._lines = (work / "live.jsonl").open("a")
        self._board = TensorBoard(work / "tensorboard", first_step)
        self._bar = bar("pretrain", total=num_steps, unit="step", initial=first_step)
        self._started = self._marked = time.perf_counter()
        self._first_step, self._marked_tokens = first_step, -1

    def __enter__(self) -> LiveView:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        self._lines.close()
        self._board.close()

    def step(self, result: StepResult, logged: bool) -> None:
        """Move the bar; where `logged`, tell everybody."""
        self._bar.update(1)
        if not logged:
            return
        self._bar.set_postfix(loss=f"{result.loss:.3f}", refresh=False)
        self.event({**result.row(), **self._clock(result)})

    def event(self, values: Mapping[str, object]) -> None:
        """Numbers of a step, or a sentence under the key `message`."""
        self._lines.write(json.dumps(values, sort_keys=True) + "\n")
        self._lines.flush()
        self._board.add(values)
        self._report(values)

    def _clock(self, result: StepResult) -> dict[str, float]:
        now = time.perf_counter()
        done = result.step - self._first_step
        values = {"seconds_left": (now - self._started) / done * (self._num_steps - result.step)}
        if self._marked_tokens >= 0:
            values["tokens_per_s"] = (result.tokens - self._marked_tokens) / (now - self._marked)
        if self._device.type == "cuda":
            values["peak_memory_bytes"] = torch.cuda.max_memory_allocated(self._device)
        self._marked, self._marked_tokens = now, result.tokens
        return values


class TensorBoard:
    """Scalars in TensorBoard's event files; silent where tensorboard is not installed."""

    def __init__(self, folder: Path, first_step: int) -> None:
        self._writer: Any = None
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            return
        self._event, self._summary = event_pb2, summary_pb2
        self._writer = EventFileWriter(str(folder))
        # A session that starts at a step hides what an interrupted one wrote after it.
        session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._writer.add_event(event_pb2.Event(wall_time=time.time(), step=first_step, session_log=session))

    def add(self, values: Mapping[str, object]) -> None:
        """The numbers of one step, each a curve of its own."""
        step = values.get("step")
        if self._writer is None or not isinstance(step, int):
            return
        scalars = [
            self._summary.Summary.Value(tag=name, simple_value=float(value))
            for name, value in values.items()
            if name != "step" and isinstance(value, int | float)
        ]
        summary = self._summary.Summary(value=scalars)
        self._writer.add_event(self._event.Event(wall_time=time.time(), step=step, summary=summary))

    def close(self) -> None:
        """Write what waits."""
        if self._writer is not None:
            self._writer.close()
