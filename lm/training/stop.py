"""Graceful stop: SIGTERM and SIGINT end a run at a step boundary."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from lm.errors import Interrupted, RankLostError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """While entered, SIGTERM and SIGINT are noted in `received` instead of ending the process; the loop checks between
    steps.

    Signals can be caught in the main thread alone; in another thread nothing is installed. A repeated signal changes
    nothing: the checkpoint is already on its way, and SIGKILL loses no more than the steps since the last one.

    A signal that came and led to no `Interrupted` is sent again at the end, to whoever listens then: it may have come
    after the last look, and what follows must not go on as if it had not. After a `RankLostError` it is not sent: a
    launcher signals the ranks that are left, and their message names the lost one.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self.received is not None and not isinstance(error, Interrupted | RankLostError):
            signal.raise_signal(self.received)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or number
