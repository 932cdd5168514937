"""Compiled loops: numba's `njit` with a cache on disk that no edit of a contributing source leaves stale.

numba itself recompiles a cached function when the function's own file changes, and keeps machine code that was inlined
from other files. Here the functions of a module are cached in a folder named by the digest of the module's source and
of all that it imports from this project (`lm.code_version`).

The folders lie in `NUMBA_CACHE_DIR`, else beside this file, else in the user's cache (`lm.code_cache`).
"""

from __future__ import annotations

import functools
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numba

from lm.code_cache import code_cache
from lm.code_version import contributing_modules, digest_of

_lock = threading.Lock()
_config: Any = numba.config  # its names are set at run time
_configured = str(_config.CACHE_DIR)  # read here, since it is another folder while a function is decorated
_folders_in_use: set[Path] = set()


def compiled(function: Callable[..., Any] | None = None, *, error_model: Literal["python", "numpy"] = "python") -> Any:
    """Return `function` as machine code that runs without the interpreter's lock.

    Used as a decorator, with or without arguments. `error_model="numpy"` makes a division by zero give infinity or NaN
    instead of an exception, as in numba.
    """
    if function is None:
        return functools.partial(compiled, error_model=error_model)
    folder = _folder(function.__module__)
    with _lock:  # numba has one such setting for the process, and reads it while it decorates
        configured, _config.CACHE_DIR = _config.CACHE_DIR, str(folder)
        try:
            dispatcher = numba.njit(nogil=True, cache=True, error_model=error_model)(function)
        finally:
            _config.CACHE_DIR = configured
    if not Path(str(dispatcher.stats.cache_path)).is_relative_to(folder):  # the folder cannot be written to
        return numba.njit(nogil=True, error_model=error_model)(function)
    _folders_in_use.add(folder)
    return dispatcher


def drop_stale_code() -> int:
    """Remove the folders of other digests than this process has used, and return their number.

    Call it only after all modules with compiled functions have been imported.
    """
    folders = [path for path in _root().iterdir() if re.fullmatch("[0-9a-f]{16}", path.name)]
    stale = [folder for folder in folders if folder not in _folders_in_use]
    for folder in stale:
        shutil.rmtree(folder, ignore_errors=True)
    return len(stale)


@functools.cache
def _folder(module: str) -> Path:
    """Return the folder for the compiled functions of `module`."""
    return _root() / digest_of(contributing_modules(module))


def _root() -> Path:
    return code_cache("compiled", _configured)
