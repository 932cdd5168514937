"""Rank watchdog: a rank that dies, stops or fails ends all ranks of the job, and the message names the rank.

A rank whose peer has died gets an error of a connection, or waits forever; neither names the peer. So a thread of each
rank writes a beat into the job's store, and reads that of the next rank in the ring. A rank is lost when its process
has ended, which is seen at once on the same machine, or when its beats are `silence_s` old: it was stopped, its machine
is gone, or a call holds the interpreter. The first failure that is written into the store counts, and every rank ends
with its message. A stopped process of the same machine and launcher is killed, since it could not end itself.

Three requests a rank and interval go to the store, whatever the number of ranks. The thread also ends the process when
its launcher has died.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch.distributed as dist

from lm.errors import LoamError, RankLostError

SILENCE_S = 30.0
_INTERVAL_S = 0.5
_GRACE_S = 5.0
_FAILURE = "failure"
_OF_A_CONNECTION = re.compile(r"gloo|nccl|connect|socket|peer|timed out|Dist\w*Error", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason why a job ends: the rank, and its error's message, class and exit code."""

    rank: int
    message: str
    kind: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class _Beat:
    count: int
    step: int
    host: str
    pid: int
    launcher: int
    is_done: bool = False


class RankWatch:
    """Watches the next rank and ends this process where any rank failed; use as a context manager around the work.

    Args:
        store: the job's store, through a client of its own: a thread uses it.
        silence_s: seconds without a beat after which a rank is lost.
        on_failure: called before this process is ended from the thread, while the main thread may hang.
    """

    def __init__(
        self,
        store: dist.Store,
        rank: int,
        world_size: int,
        *,
        silence_s: float = SILENCE_S,
        on_failure: Callable[[Failure], None] = lambda failure: None,
    ) -> None:
        self.rank, self.world_size, self.silence_s = rank, world_size, silence_s
        self._store, self._on_failure = store, on_failure
        self._beat = _Beat(0, 0, socket.gethostname(), os.getpid(), os.getppid())
        self._seen, self._seen_at = "", time.monotonic()
        self.failure: Failure | None = None
        self._failed, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rank-watch", daemon=True)
        store.set(_FAILURE, "")

    def __enter__(self) -> RankWatch:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(RuntimeError):  # the store ends with the first rank that ends
            if error is None:
                self._send(is_done=True)
            else:
                self._publish(_failure_of(error, self.rank))

    def note_step(self, step: int) -> None:
        """Give the next beats the number of the step that is done."""
        self._beat = _replaced(self._beat, step=step)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn the error of a collective into one that names the rank which was lost.

        Raises:
            RankLostError: another rank ended, stopped or failed.
        """
        try:
            yield
        except LoamError:
            raise
        except RuntimeError as error:
            failure = self._await_failure() if _OF_A_CONNECTION.search(f"{type(error).__name__} {error}") else None
            if failure is None or failure.rank == self.rank:
                raise
            raise RankLostError(failure.message, failure.exit_code) from error

    def _await_failure(self) -> Failure | None:
        self._failed.wait(self.silence_s + _GRACE_S)
        return self.failure

    def _watch(self) -> None:
        while not self._ended.wait(_INTERVAL_S):
            try:
                if os.getppid() != self._beat.launcher:
                    self._end(Failure(self.rank, f"rank {self.rank}: its launcher has died", "RankLostError", 3))
                self._send()
                self._look()
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:200]
                message = f"rank {self.rank}: the job's store does not answer, so the rank that hosts it is lost"
                self._end(Failure(self.rank, f"{message} ({reason})", "RankLostError", 3))

    def _send(self, *, is_done: bool = False) -> None:
        self._beat = _replaced(self._beat, count=self._beat.count + 1, is_done=is_done)
        self._store.set(f"beat-{self.rank}", json.dumps(asdict(self._beat)))

    def _look(self) -> None:
        """Read the failure of the job, else the next rank's beat."""
        if failed := self._store.get(_FAILURE):
            self._end(Failure(**json.loads(failed)))
        elif self._store.check([f"beat-{self._next}"]):
            text = self._store.get(f"beat-{self._next}").decode()
            if text != self._seen:
                self._seen, self._seen_at = text, time.monotonic()
            self._judge(_Beat(**json.loads(text)))
        else:
            self._judge(None)

    @property
    def _next(self) -> int:
        return (self.rank + 1) % self.world_size

    def _judge(self, beat: _Beat | None) -> None:
        """Publish the failure of the next rank where it is lost."""
        if beat is not None and beat.is_done:
            return
        silent_s = time.monotonic() - self._seen_at
        is_near = beat is not None and beat.host == self._beat.host
        died = is_near and beat is not None and not _is_alive(beat.pid)
        if not died and silent_s < self.silence_s:
            return
        where = "before its first heartbeat" if beat is None else f"process {beat.pid} on {beat.host}, step {beat.step}"
        what = "died" if died else f"has sent no heartbeat for {silent_s:.0f} s"
        message = f"rank {self._next} of {self.world_size} ({where}) {what}; all ranks end, run again to resume"
        self._publish(Failure(self._next, message, "RankLostError", 3))
        if is_near and beat is not None and not died and _launcher_of(beat.pid) == beat.launcher == os.getppid():
            with contextlib.suppress(OSError):
                os.kill(beat.pid, signal.SIGKILL)

    def _publish(self, failure: Failure) -> None:
        """Write a failure into the store, unless there is one."""
        self._store.compare_set(_FAILURE, "", json.dumps(asdict(failure)))

    def _end(self, failure: Failure) -> None:
        """Let the main thread end by the error of its collective; after a while end the process."""
        self.failure = failure
        self._failed.set()
        if self._ended.wait(_GRACE_S):
            return
        print(f"error: {failure.message}", file=sys.stderr, flush=True)
        self._on_failure(failure)
        os._exit(failure.exit_code)


def _failure_of(error: BaseException, rank: int) -> Failure:
    if isinstance(error, LoamError):
        named = str(error) if isinstance(error, RankLostError) else f"rank {rank}: {error}"
        return Failure(rank, named, type(error).__name__, error.exit_code)
    return Failure(rank, f"rank {rank}: {type(error).__name__}: {error}", "RankLostError", 3)


def _replaced(beat: _Beat, **changes: int) -> _Beat:
    return _Beat(**{**asdict(beat), **changes})


def _stat(pid: int) -> list[str]:
    """Return the fields of a process after its name (proc(5)): its state, its parent and others."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _is_alive(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] not in "ZX"


def _launcher_of(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else -1
