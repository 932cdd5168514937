"""glibc allocator settings: a process keeps freed memory for its next page.

glibc gives freed memory back to the system above small thresholds, and fetches it anew for the next page, by a page
fault for every 4 KiB.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress

_TRIM_BYTES, _MMAP_BYTES = 1 << 26, 1 << 25
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h

ENVIRONMENT = {"MALLOC_TRIM_THRESHOLD_": str(_TRIM_BYTES), "MALLOC_MMAP_THRESHOLD_": str(_MMAP_BYTES)}
"""The variables that make a new process keep freed memory."""


def keep_freed_memory() -> None:
    """Make this process keep freed memory, unless its environment sets glibc's thresholds or any other tunable."""
    if sys.platform == "linux" and not {*ENVIRONMENT, "GLIBC_TUNABLES"} & os.environ.keys():
        with suppress(AttributeError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
            mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
