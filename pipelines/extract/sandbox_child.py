"""The child of `pipelines.extract.sandbox`: reads documents from standard input, writes an answer for each to standard
output.

    python -m pipelines.extract.sandbox_child MODULE:FACTORY SETTINGS_JSON LIMITS_JSON

`FACTORY(settings)` gives the function, bytes to bytes, that is run on each document. A document comes as four bytes of
length and its bytes; an answer goes as one byte of kind, four of length, and bytes. The first answer, `READY`, says
that the child has started. What the function prints goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

Function = Callable[[bytes], bytes]

READY, ANSWER, NO_MEMORY, FAILED = b"r", b"a", b"m", b"f"
LENGTH = struct.Struct("<I")
_WALL_FACTOR = 4.0


def main(arguments: list[str]) -> int:
    """Answer documents until standard input closes, or until a limit ends the process."""
    target, settings, limits = arguments[0], json.loads(arguments[1]), json.loads(arguments[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    module, _, name = target.partition(":")
    function: Function = getattr(importlib.import_module(module), name)(settings)
    _limit_memory(limits["max_memory_bytes"])
    with answers, open(0, "rb", buffering=1 << 20, closefd=False) as documents:
        try:
            _write(answers, READY, b"")
            while len(head := documents.read(LENGTH.size)) == LENGTH.size:
                document = documents.read(LENGTH.unpack(head)[0])
                _write(answers, *_answer(function, document, limits["timeout_s"]))
        except BrokenPipeError:
            return 1  # the parent is gone
    return 0


def _answer(function: Function, document: bytes, timeout_s: float) -> tuple[bytes, bytes]:
    """Return the kind of answer and its bytes. The timers' signals, which nobody handles, end the process."""
    signal.setitimer(signal.ITIMER_PROF, timeout_s)
    signal.setitimer(signal.ITIMER_REAL, _WALL_FACTOR * timeout_s)
    try:
        return ANSWER, function(document)
    except MemoryError:
        return NO_MEMORY, b""
    except Exception as error:
        return FAILED, f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:500]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _write(stream: BinaryIO, kind: bytes, answer: bytes) -> None:
    frame = memoryview(kind + LENGTH.pack(len(answer)) + answer)
    while frame:
        frame = frame[stream.write(frame) :]


def _limit_memory(max_bytes: int) -> None:
    """Bound the address space to what is in use now and `max_bytes` more, where the system tells what is in use."""
    try:
        num_pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return
    limit = num_pages * resource.getpagesize() + max_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
