"""File locks that end with the process that took them, even if it is killed while its forked children run.

The kernel frees a lock when the last copy of its descriptor is closed, so a forked child closes its copies.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from typing import IO, Any

_taken: weakref.WeakSet[IO[Any]] = weakref.WeakSet()


def take(stream: IO[Any]) -> bool:
    """Lock an open file until it is closed, and return whether no other process or open file holds the lock."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    _taken.add(stream)
    return True


def _close_copies() -> None:
    for stream in list(_taken):
        stream.close()


os.register_at_fork(after_in_child=_close_copies)
