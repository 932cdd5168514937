"""Writing checkpoints on a thread while the run goes on, and keeping the right ones.

At most one checkpoint is on its way; an older one is deleted only after every byte of the new one was read back and
matched its sha256. Stay: the newest K, and of the older ones every step that `keep_every` divides. One of a later step
than the new one was damaged, or the run would have gone on from there: it is deleted and counts for nothing.

When the run is over, those that `keep_every` keeps move to the folder `kept`, where no run goes on from them.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

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

    def __init__(self, folder: Path, identity: Mapping[str, Any], *, keep: int, keep_every: int = 0) -> None:
        self.folder, self._identity = folder, identity
        self._keep, self._keep_every = keep, keep_every
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None

    def write(self, snapshot: Snapshot) -> None:
        """Start to write; waits for the one before."""
        self.wait()
        self._pending = self._thread.submit(self._write, snapshot)

    def raise_failure(self) -> None:
        """Raise the error of a write that has failed; to be called between steps."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Return when nothing is on its way; raises the error of what was."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """End the thread; an error of the last write is left to `wait`."""
        self._thread.shutdown()

    def clear(self) -> None:
        """Delete what only a run on its way needs, also what a killed one left; what `keep_every` keeps moves to
        `kept`, from where an earlier run's are deleted. Killed on the way, it can be called again.
        """
        self.wait()
        kept = self.folder.with_name(KEPT)
        for path in checkpoint_folders(kept):
            if not is_of_run(path, self._identity):
                delete_checkpoint(path)
        for path in checkpoint_folders(self.folder):
            if self._stays(path):
                kept.mkdir(exist_ok=True)
                shutil.rmtree(kept / path.name, ignore_errors=True)
                shutil.move(path, kept / path.name)
        for path in self.folder.glob("*"):
            shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):  # a link to another disk stays
            self.folder.rmdir()

    def _write(self, snapshot: Snapshot) -> None:
        write_snapshot(self.folder, snapshot, **self._identity)
        whole = []
        for path in checkpoint_folders(self.folder):
            if step_of(path) > snapshot.step:
                delete_checkpoint(path)
            else:
                whole.append(path)
        for old in whole[self._keep :]:
            if not self._stays(old):
                delete_checkpoint(old)

    def _stays(self, path: Path) -> bool:
        return self._keep_every > 0 and step_of(path) > 0 and step_of(path) % self._keep_every == 0
