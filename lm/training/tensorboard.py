"""A run's numbers and samples in TensorBoard's event files; nothing where tensorboard is not installed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class TensorBoard:
    """Scalars, and sentences as text."""

    def __init__(self, folder: Path, first_step: int) -> None:
        self._writer: Any = None
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.plugins.text.summary_v2 import text_pb
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            return
        self._event, self._summary, self._text = event_pb2, summary_pb2, text_pb
        self._writer = EventFileWriter(str(folder))
        # A session that starts at a step hides what an interrupted one wrote after it.
        session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._writer.add_event(event_pb2.Event(wall_time=time.time(), step=first_step, session_log=session))

    def add(self, values: Mapping[str, object]) -> None:
        """Write the numbers of one step, each a curve of its own, and its sentences."""
        step = values.get("step")
        if self._writer is None or not isinstance(step, int):
            return
        for name, value in values.items():
            if isinstance(value, str):
                self._write(step, self._text(name, value))
        scalars = [
            self._summary.Summary.Value(tag=name, simple_value=float(value))
            for name, value in values.items()
            if name != "step" and isinstance(value, int | float)
        ]
        if scalars:
            self._write(step, self._summary.Summary(value=scalars))

    def close(self) -> None:
        """Write what waits."""
        if self._writer is not None:
            self._writer.close()

    def _write(self, step: int, summary: Any) -> None:
        self._writer.add_event(self._event.Event(wall_time=time.time(), step=step, summary=summary))
