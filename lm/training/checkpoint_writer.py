"""Writing checkpoints on a thread while the run goes on, and keeping the right ones.

At most one checkpoint is on its way; an older one is deleted only after every byte of the new one was read back and
matched its sha256. The newest K stay, and those of the steps that `is_kept` names. One of a later step than the new
one was damaged, or the run would have gone on from there: it is deleted and counts for nothing.

When the run is over, the kept ones move to the folder `kept`: no run resumes there by itself, but `init_from` may name
one.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lm.errors import InputError
from lm.training.run_checkpoint import (
    Snapshot,
    checkpoint_folders,
    delete_checkpoint,
    is_of_run,
    step_of,
    write_snapshot,
)

KEPT = "kept"
"""Beside the folder of checkpoints: those that stay after the end."""


class CheckpointWriter:
    """Writes the snapshots of one run into `folder`; `identity` is the manifest's `config`, `inputs` and `code`."""

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        *,
        keep: int,
        is_kept: Callable[[int], bool] = lambda step: False,
    ) -> None:
        self.folder, self._identity = folder, identity
        self._keep, self._is_kept = keep, is_kept
        self.seconds = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        self._is_closing = threading.Event()

    @property
    def is_writing(self) -> bool:
        """Return whether a checkpoint is on its way."""
        return self._pending is not None and not self._pending.done()

    def write(self, snapshot: Snapshot) -> None:
        """Start to write; waits for the one before. When it is written, `seconds` says how long that took."""
        self.wait()
        self._pending = self._thread.submit(self._write, snapshot)

    def raise_failure(self) -> None:
        """Raise the error of a write that has failed; to be called between steps."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Wait until no write is pending, and raise the error of a failed write."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """End the thread, also one that waits for the parts of other ranks; an error is left to `wait`."""
        self._is_closing.set()
        self._thread.shutdown()

    def clear(self) -> None:
        """Delete what only a run on its way needs, also what a killed one left; the kept ones move to
        `kept`, from where an earlier run's are deleted. Killed on the way, it can be called again.
        """
        self.wait()
        kept = self.folder.with_name(KEPT)
        for path in checkpoint_folders(kept):
            if not is_of_run(path, self._identity):
                delete_checkpoint(path)
        for path in checkpoint_folders(self.folder):
            if self._is_kept(step_of(path)):
                kept.mkdir(exist_ok=True)
                shutil.rmtree(kept / path.name, ignore_errors=True)
                shutil.move(path, kept / path.name)
        for path in self.folder.glob("*"):
            shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):  # a link to another disk stays
            self.folder.rmdir()

    def _write(self, snapshot: Snapshot) -> None:
        started = time.perf_counter()
        write_snapshot(self.folder, snapshot, **self._identity, check=self._stop_waiting)
        self.seconds = time.perf_counter() - started
        if snapshot.rank:
            return
        whole = []
        for path in checkpoint_folders(self.folder):
            if step_of(path) > snapshot.step:
                delete_checkpoint(path)
            else:
                whole.append(path)
        for old in whole[self._keep :]:
            if not self._is_kept(step_of(old)):
                delete_checkpoint(old)

    def _stop_waiting(self) -> None:
        if self._is_closing.is_set():
            raise InputError(f"{self.folder}: the run ended before all ranks had written their parts")


class CheckpointClock:
    """The time of the next checkpoint: `interval_s` after the last one, and later where that one took more than `share`
    of the interval. At an `interval_s` of 0 none is due.
    """

    def __init__(self, interval_s: float, share: float = 0.02, now: Callable[[], float] = time.perf_counter) -> None:
        self._interval_s, self._share, self._now = interval_s, share, now
        self._last = now()

    def is_due(self, cost_s: float) -> bool:
        """Return whether a checkpoint is due, where the last one took `cost_s` to copy and write."""
        waited = self._now() - self._last
        return self._interval_s > 0 and waited >= max(self._interval_s, cost_s / self._share)

    def restart(self) -> None:
        """Count from now on."""
        self._last = self._now()
