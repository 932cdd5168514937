"""Local executor: jobs in child processes, with retries after the death of a process.

Decisions:
- Children are spawned, not forked: no locks or threads of the parent are copied, and a child runs as a fresh process
  would. A job and its result must be picklable; they pass through pipes and never touch a disk.
- A child that dies (killed, out of memory, a crash in a library) is replaced and its job is done again, up to
  `ATTEMPTS` times. A job publishes atomically, so no output exists twice.
- An exception in a job is raised in the caller; it ends the whole run and all children.
- A child ends without taking its modules apart. A file that a job leaves open in a global variable is not flushed.
- Children die with their parent, also when the parent is killed (Linux: PR_SET_PDEATHSIG), and leave Ctrl-C to the
  parent.
"""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, NoReturn, cast

from lm.errors import PartialError

ATTEMPTS = 3
"""How often the worker of one job may die."""


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    connection: Connection
    job: str | None = None


@dataclass(slots=True)
class LocalPool:
    """The workers of one run, and the jobs still to do."""

    function: Callable[[Any], Any]
    jobs: Mapping[str, Any]
    waiting: deque[str] = field(default_factory=deque)
    deaths: Counter[str] = field(default_factory=Counter)
    num_finished: int = 0

    def run(self, num_workers: int) -> Iterator[tuple[str, Any]]:
        """Yield `(name, result)` as the jobs end; whatever happens, no child is left."""
        self.waiting.extend(self.jobs)
        workers: list[_Worker] = []
        try:
            while self.num_finished < len(self.jobs):
                while self.waiting and len(workers) < num_workers:
                    workers.append(self._start())
                ready = wait([worker.connection for worker in workers])
                for worker in [each for each in workers if each.connection in ready]:
                    yield from self._answer(worker)
                    if worker.job is None:
                        _stop(worker)
                        workers.remove(worker)
        finally:
            for worker in workers:
                worker.process.kill()
                _stop(worker)

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self.function, os.getpid()))
        process.start()
        theirs.close()  # the child holds the only other end, so its death ends the pipe
        worker = _Worker(process, ours)
        self._assign(worker)
        return worker

    def _assign(self, worker: _Worker) -> None:
        """Give the worker the next job, or none."""
        worker.job = self.waiting.popleft() if self.waiting else None
        if worker.job is not None:
            with suppress(BrokenPipeError):  # it is dead: the pipe's end will tell
                worker.connection.send((self.jobs[worker.job],))

    def _answer(self, worker: _Worker) -> Iterator[tuple[str, Any]]:
        """Take a worker's result and give it the next job; after a worker's death, put its job back."""
        job = cast(str, worker.job)
        try:
            succeeded, value = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            worker.job = None
            self._note_death(job, worker.process)
            return
        if not succeeded:
            raise value
        self.num_finished += 1
        self._assign(worker)
        yield job, value

    def _note_death(self, job: str, process: SpawnProcess) -> None:
        process.join()
        self.deaths[job] += 1
        if self.deaths[job] >= ATTEMPTS:
            code = process.exitcode or 0
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise PartialError(
                f"partition '{job}': its worker died {ATTEMPTS} times, most recently with {how}; "
                f"{self.num_finished} of {len(self.jobs)} partitions are complete"
            )
        self.waiting.appendleft(job)


def _stop(worker: _Worker) -> None:
    worker.connection.close()
    worker.process.join()
    worker.process.close()


def _serve(connection: Connection, function: Callable[[Any], Any], parent: int) -> None:
    """Serve as a child: take a job, answer, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(parent)
    os.environ["LOAM_PROGRESS"] = "0"  # the parent draws one bar for all
    while True:
        try:
            (job,) = connection.recv()
        except (EOFError, ConnectionResetError):
            _leave()
        try:
            answer = (True, function(job))
        except Exception as error:
            answer = (False, portable(error))
        try:
            connection.send(answer)
        except (AttributeError, TypeError, ValueError) as error:  # what it would send cannot be pickled
            connection.send((False, TypeError(f"the result of a job cannot be pickled: {error}")))


def _leave() -> NoReturn:
    """End this process as an interpreter does, without taking its modules apart, for which the parent would wait."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # closed, or None
            stream.flush()
    os._exit(0)


def portable(error: Exception) -> Exception:
    """Return the error as the parent can rebuild it, with the child's traceback as a note."""
    told = "".join(traceback.format_exception(error))
    try:
        rebuilt = type(error)(*error.args)
    except TypeError:
        rebuilt = RuntimeError(f"{type(error).__name__}: {error}")
    rebuilt.add_note(f"in a worker process:\n{told}")
    return rebuilt


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it died before the request
            os._exit(1)
