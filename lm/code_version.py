"""The digest of the code behind a result: the sources of all modules whose names the publishing function uses.

The digest is part of an artifact's fingerprint. It starts at the function that writes an artifact, and at the classes
of the objects that the function was given, and follows names: to what they stand for, and to what that uses in turn.
Editing `pipelines/extract/html.py` makes the extracted documents stale, and by their digests all that follows from
them, but neither the crawl before them nor what only shares a package with them.

Decisions:
- A module counts whole or not at all: the unit that is edited is a file.
- A module that only re-exports a name, such as a package's `__init__`, does not count; the definition does.
- Function arguments are callbacks such as progress reports and do not count. The classes of other arguments do.
- The modules in `TRANSPARENT` and those of `assets` affect no content.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import site
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from types import FunctionType, MethodType
from typing import Any

from lm.errors import ConfigurationError
from lm.source_names import names_of, source_of, source_path

ROOMS = ("lm", "pipelines")
TRANSPARENT = frozenset(
    {
        "lm", "lm.artifact", "lm.code_cache", "lm.code_version", "lm.errors", "lm.lazy", "lm.local_store",
        "lm.locations", "lm.locks", "lm.manifest", "lm.progress", "lm.remote_store", "lm.source_names", "lm.storage",
        "lm.store_access", "lm.stored_files", "lm.stores", "lm.training.live_view", "lm.training.stop",
        "lm.training.tensorboard", "pipelines", "pipelines.executor.local",
        "pipelines.executor.partitions", "pipelines.executor.ray",
    }
)  # fmt: skip
"""Modules without effect on content: messages, progress bars, stores and process pools."""

_CALLERS = frozenset({"assets"})
_EVERYTHING = "*"


def code_digest(function: Callable[..., Any]) -> str:
    """Return the digest of the code behind what `function` writes: 16 hexadecimal digits of sha256.

    `function` may be a partial, a bound method, a nested or a compiled function.

    Raises:
        ConfigurationError: the function has no source file, as in an interactive session.
    """
    return _digest_from(frozenset(starting_names(function)))


def digest_of(modules: Iterable[str]) -> str:
    """Return 16 hexadecimal digits of the sha256 over the names and sources of `modules`.

    Raises:
        ModuleNotFoundError: one has no source file.
    """
    digest = hashlib.sha256()
    for name in sorted(modules):
        digest.update(name.encode() + b"\0" + source_of(name) + b"\0")
    return digest.hexdigest()[:16]


def contributing_modules(module: str) -> frozenset[str]:
    """Return `module` and all modules whose names it uses, at any depth, with those that only pass a name on.

    Raises:
        ModuleNotFoundError: it has no source file.
    """
    source_of(module)
    counted, passed = follow([f"{module}.{_EVERYTHING}"])
    return counted | passed


def starting_names(function: Callable[..., Any]) -> Iterator[str]:
    """Yield the dotted names that the code of `function` starts from: its own, and the classes of its arguments.

    Raises:
        ConfigurationError: the function has no source file.
    """
    while isinstance(function, functools.partial):
        yield from _classes([*function.args, *function.keywords.values()])
        function = function.func
    if isinstance(function, MethodType):
        yield from _classes([function.__self__])
        function = function.__func__
    function = getattr(function, "py_func", function)  # compiled by numba
    if isinstance(function, FunctionType):
        yield from _classes(_cells(function))
    else:
        yield from _classes([function])
    module, name = _place_of(function if hasattr(function, "__qualname__") else type(function))
    if source_path(module) is None:
        raise ConfigurationError(f"{module}.{name}: has no source file, expected a function of a module")
    yield f"{module}.{name}"


def follow(names: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the modules that define `names` or what they use, at any depth, and those that only pass a name on."""
    waiting, seen = list(names), set[str]()
    roots = {*ROOMS, *(name.partition(".")[0] for name in waiting)}
    counted, passed = set[str](), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name.partition(".")[0] not in roots:
            continue
        seen.add(name)
        module, attribute, rest = _resolved(name)
        if module in TRANSPARENT:
            continue
        found = names_of(module)
        if attribute in found.defined:
            used = found.defined[attribute]
        elif attribute in found.imported:
            passed.add(module)
            waiting.append(".".join([found.imported[attribute], *rest]))
            continue
        else:
            used = frozenset[str]().union(*found.defined.values(), found.imported.values())
        if module not in counted:
            counted.add(module)
            waiting += found.at_import
        waiting += used
    return frozenset(name for name in counted if name.partition(".")[0] not in _CALLERS), frozenset(passed - counted)


@lru_cache(maxsize=1024)
def _digest_from(names: frozenset[str]) -> str:
    return digest_of(follow(names)[0])


@lru_cache(maxsize=65536)
def _resolved(name: str) -> tuple[str, str, tuple[str, ...]]:
    """Return the module of a dotted name, its attribute (`_EVERYTHING` for the module itself), and the rest."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        if source_path(module) is not None:
            attribute, *rest = [*parts[length:], _EVERYTHING][:1] + parts[length + 1 :]
            return module, attribute, tuple(rest)
    return parts[0], _EVERYTHING, ()


def _place_of(thing: Any) -> tuple[str, str]:
    """Return the module and the top-level name of a function or class; for a nested one, the name around it."""
    name = thing.__qualname__.partition(".")[0]
    module = thing.__module__
    if module == "__main__" and (spec := getattr(sys.modules["__main__"], "__spec__", None)) is not None:
        module = spec.name
    return module, _EVERYTHING if name == "<lambda>" else name


def _cells(function: FunctionType) -> list[Any]:
    """Return the objects in the closure of a function."""
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            continue  # assigned later
    return found


def _classes(values: Iterable[Any]) -> Iterator[str]:
    """Yield the names of the project's classes among `values`, their fields and elements."""
    waiting, seen = list(values), set[int]()
    while waiting:
        value = waiting.pop()
        if id(value) in seen or inspect.isroutine(value) or isinstance(value, functools.partial):
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple | set | frozenset):
            waiting += value
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            waiting += [getattr(value, field.name, None) for field in dataclasses.fields(value)]
        module, name = _place_of(value if isinstance(value, type) else type(value))
        if _is_ours(module):
            yield f"{module}.{name}"


@lru_cache(maxsize=1024)
def _is_ours(module: str) -> bool:
    """Return whether a module is source code of the project or of its user, and not installed or in `_CALLERS`."""
    root = module.partition(".")[0]
    if root in ROOMS:
        return True
    path = None if root in _CALLERS or root in sys.stdlib_module_names else source_path(module)
    installed = {*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_paths()["stdlib"]}
    return path is not None and not any(path.is_relative_to(folder) for folder in installed)
