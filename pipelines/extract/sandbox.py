"""Sandbox: a function on untrusted bytes in child processes; a document that kills its child affects no other document.

    with Guard("pipelines.extract.page_text:extractor", settings, GuardLimits(timeout_s=5)) as guard:
        for outcome in guard.map(documents):     # in the documents' order, whatever the number of children
            outcome.value                        # the function's bytes, or None, and then
            outcome.failure, outcome.detail      # timeout, out_of_memory, crashed or failed, and a sentence

No limit set inside a process stops a parser in C that loops or overflows its stack; only the end of the process does.
A child answers document by document, so when it dies the first document without an answer is the culprit; those behind
it go to a new child.

Decisions:
- The time limit is CPU time, by the kernel's profiling timer, so that a busy machine removes no documents that an idle
  one keeps. A second timer of four times as much wall-clock time ends a child that sleeps.
- Children are `python -m pipelines.extract.sandbox_child` processes: no fork of a threaded parent, no pickle. They end
  when their standard input closes or a timer fires, so none outlives a parent that was killed.
- One thread drives all children by `select`, each with up to `_WINDOW_DOCUMENTS` documents under way, so that no child
  waits for the parent.
"""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Annotated, Any, Literal, cast

from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError
from pipelines.executor import memory
from pipelines.extract.sandbox_child import ANSWER, FAILED, LENGTH, NO_MEMORY, READY

GuardFailure = Literal["timeout", "out_of_memory", "crashed", "failed"]

_WINDOW_DOCUMENTS = 32
_WINDOW_BYTES = 1 << 19
"""As much as stays in a core's cache until the child reads it."""
_READ_BYTES = 1 << 20
_PIPE_BYTES = 1 << 20
_STDERR_BYTES = 2000
_DEATH_S = 2.0
"""How long a child that closed its output may take to be dead: its own exit code says why it died."""
_NO_MEMORY_SIGNS = (b"memory allocation of", b"MemoryError", b"bad_alloc")


@dataclass(frozen=True, kw_only=True)
class GuardLimits:
    """Limits on one document: seconds of CPU, and memory beyond that of a started child."""

    timeout_s: Annotated[float, Doc("Seconds of CPU."), Range(above=0, most=3_600)] = 5.0
    max_memory_bytes: Annotated[int, Doc("Memory beyond that of a started child process."), Range(2**26)] = 2**30

    def __post_init__(self) -> None:
        settle(self, "GuardLimits")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one document: the function's answer, or its failure."""

    value: bytes | None
    failure: GuardFailure | None = None
    detail: str = ""


class Guard:
    """Children that run `factory(settings)` of `MODULE:factory` on documents. One `map` at a time."""

    def __init__(
        self,
        factory: str,
        settings: Mapping[str, Any] | None = None,
        limits: GuardLimits | None = None,
        num_workers: int = 1,
    ) -> None:
        if not 1 <= num_workers <= 256:
            raise ConfigurationError(f"Guard.num_workers: {num_workers}, expected 1 to 256")
        limits = limits or GuardLimits()
        limits_json = json.dumps({"timeout_s": limits.timeout_s, "max_memory_bytes": limits.max_memory_bytes})
        module = ["-P", "-m", "pipelines.extract.sandbox_child"]
        self._command = [sys.executable, *module, factory, json.dumps(dict(settings or {})), limits_json]
        self._selector = selectors.DefaultSelector()
        self._children = [_Child(self._command, self._selector) for _ in range(num_workers)]

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all children."""
        for child in self._children:
            child.end()
        self._selector.close()

    def map(self, documents: Iterable[bytes | Outcome]) -> Iterator[Outcome]:
        """Run the function on each document and yield the outcomes, in order.

        An `Outcome` in a document's place is passed on in its turn.

        Raises:
            RuntimeError: a child does not start, which is not the fault of a document.
        """
        source = enumerate(documents)
        done: dict[int, Outcome] = {}
        num_taken = num_yielded = 0
        while True:
            while num_taken - num_yielded < _WINDOW_DOCUMENTS * len(self._children):
                child = min(self._children, key=lambda child: child.waiting_bytes)
                if child.waiting_bytes >= _WINDOW_BYTES or (item := next(source, None)) is None:
                    break
                num_taken += 1
                index, document = item
                if isinstance(document, Outcome):
                    done[index] = document
                else:
                    child.give(index, document)
            if num_taken == num_yielded:
                return
            if num_yielded not in done:
                self._exchange(done)
            while num_yielded in done:
                yield done.pop(num_yielded)
                num_yielded += 1

    def _exchange(self, done: dict[int, Outcome]) -> None:
        """Wait until some child can take or give bytes, and move them."""
        for key, events in self._selector.select():
            child = cast(_Child, key.data)
            if child not in self._children:
                continue  # it was buried a moment ago, in this very loop
            if events & selectors.EVENT_WRITE:
                child.write()
            if events & selectors.EVENT_READ and not child.read(done):
                self._bury(child, done)

    def _bury(self, child: _Child, done: dict[int, Outcome]) -> None:
        """Account for a dead child's culprit, and let a new child take over the documents behind it."""
        self._children.remove(child)
        failure, detail = child.end(_DEATH_S)
        if not child.is_ready:
            raise RuntimeError(f"the guard's child did not start: {detail}")
        if child.waiting:
            index, _ = child.waiting.popleft()
            done[index] = Outcome(None, failure, detail)
        successor = _Child(self._command, self._selector)
        self._children.append(successor)
        for index, document in child.waiting:
            successor.give(index, document)


class _Child:
    """One child process: the documents it was given and has not answered, and the bytes on their way."""

    def __init__(self, command: list[str], selector: selectors.BaseSelector) -> None:
        path = os.pathsep.join(str(Path(folder).absolute()) for folder in sys.path)  # what its parent can import
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 - closed in end()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            env={**memory.ENVIRONMENT, **os.environ, "PYTHONPATH": path},
            bufsize=0,
        )
        self._stdin, self._stdout = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        for stream in (self._stdin, self._stdout):
            os.set_blocking(stream.fileno(), False)
            with suppress(AttributeError, OSError):  # a larger pipe is Linux's, and within a user's allowance
                fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._selector = selector
        self._selector.register(self._stdout, selectors.EVENT_READ, self)
        self._is_writing = False
        self._outgoing: deque[memoryview] = deque()
        self._incoming = bytearray()
        self.waiting: deque[tuple[int, bytes]] = deque()
        self.waiting_bytes = 0
        self.is_ready = False

    def give(self, index: int, document: bytes) -> None:
        """Queue a document."""
        self.waiting.append((index, document))
        self.waiting_bytes += len(document)
        self._outgoing += (memoryview(LENGTH.pack(len(document))), memoryview(document))
        if not self._is_writing:
            self._is_writing = True
            self._selector.register(self._stdin, selectors.EVENT_WRITE, self)

    def write(self) -> None:
        """Send what the pipe takes."""
        try:
            while self._outgoing:
                num_sent = os.writev(self._stdin.fileno(), list(self._outgoing)[:64])
                self._forget(num_sent)
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._outgoing.clear()  # it died; its standard output tells
        self._stop_writing()

    def _forget(self, num_sent: int) -> None:
        while num_sent:
            if num_sent < len(self._outgoing[0]):
                self._outgoing[0] = self._outgoing[0][num_sent:]
                return
            num_sent -= len(self._outgoing.popleft())
        while self._outgoing and not self._outgoing[0]:
            self._outgoing.popleft()

    def _stop_writing(self) -> None:
        if self._is_writing:
            self._is_writing = False
            self._selector.unregister(self._stdin)

    def read(self, done: dict[int, Outcome]) -> bool:
        """Take the answers that are there; False once the child is dead and all its answers were taken."""
        try:
            received = os.read(self._stdout.fileno(), _READ_BYTES)
        except BlockingIOError:
            return True
        self._incoming += received
        head = 1 + LENGTH.size
        while len(self._incoming) >= head:
            end = head + LENGTH.unpack_from(self._incoming, 1)[0]
            if len(self._incoming) < end:
                break
            self._take(bytes(self._incoming[:1]), bytes(self._incoming[head:end]), done)
            del self._incoming[:end]
        return bool(received)

    def _take(self, kind: bytes, answer: bytes, done: dict[int, Outcome]) -> None:
        if kind == READY:
            self.is_ready = True
            return
        index, document = self.waiting.popleft()
        self.waiting_bytes -= len(document)
        if kind == ANSWER:
            done[index] = Outcome(answer)
        elif kind == NO_MEMORY:
            done[index] = Outcome(None, "out_of_memory", "MemoryError")
        elif kind == FAILED:
            done[index] = Outcome(None, "failed", answer.decode("utf-8", "replace"))

    def end(self, grace_s: float = 0.0) -> tuple[GuardFailure, str]:
        """Kill the process if it still runs after `grace_s`, close everything, and say how it ended."""
        self._stop_writing()
        self._selector.unregister(self._stdout)
        try:
            code = self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._stdin.close()
        self._stdout.close()
        self._messages.seek(max(0, self._messages.seek(0, os.SEEK_END) - _STDERR_BYTES))
        messages = self._messages.read()
        self._messages.close()
        return _how_it_ended(code, messages)


def _how_it_ended(code: int, messages: bytes) -> tuple[GuardFailure, str]:
    last_line = messages.decode("utf-8", "replace").strip().rpartition("\n")[2]
    if code >= 0:
        return "crashed", f"exit code {code}: {last_line}"
    name = signal.Signals(-code).name
    if -code in (signal.SIGPROF, signal.SIGALRM):
        return "timeout", "CPU time" if -code == signal.SIGPROF else "wall-clock time"
    # The kernel kills with SIGKILL when memory runs out; Rust and C++ abort when an allocation fails.
    if -code == signal.SIGKILL or any(sign in messages for sign in _NO_MEMORY_SIGNS):
        return "out_of_memory", f"{name}: {last_line}"
    return "crashed", f"{name}: {last_line}"
