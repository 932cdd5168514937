"""Folders for what is made from sources and can be made again: compiled code, and the names in sources."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lm.locations import cache_folder


@functools.cache
def code_cache(name: str, configured: str = "") -> Path:
    """Return the first folder that can be written to: `configured`, `name` beside this file, `name` in the user's
    cache, which serves a read-only installation. Where none can be written to, it is the last.

    A user without a home folder has no cache.
    """
    for folder in _folders(name, configured):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            break
    return folder


def _folders(name: str, configured: str) -> Iterator[Path]:
    if configured:
        yield Path(configured)
    yield Path(__file__).parent / "__pycache__" / name
    with suppress(RuntimeError):  # without a home folder
        yield cache_folder() / name
