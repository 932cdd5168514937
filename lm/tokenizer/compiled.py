"""`compiled`: numba's `njit` for the tokenizer's loops, cached on disk until any source file of the tokenizer changes.

Numba by itself compiles a cached function anew when the function's own file changes, and would go on to use old machine
code of functions that it calls from other files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile


def compiled(function: Callable[..., Any]) -> Any:
    """`function` as machine code that runs without the interpreter's lock."""
    dispatcher: Any = numba.njit(nogil=True)(function)
    dispatcher._cache = _PackageCache(function)
    return dispatcher


class _PackageCache(FunctionCache):
    """A cache whose entries belong to one state of the whole package's sources."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = IndexDataCacheFile(
            cache_path=self._cache_path, filename_base=self._impl.filename_base, source_stamp=_sources()
        )


@cache
def _sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(str(path.relative_to(Path(__file__).parent)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
