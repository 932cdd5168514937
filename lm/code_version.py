"""The digest of the code behind a result: a module's source and that of all it imports from this project.

It is part of an artifact's fingerprint. Editing `pipelines/extract/html.py` makes the extracted documents stale, and by
their digests all that follows from them, but not the crawl before them.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

ROOMS = ("lm", "pipelines")
_TRANSPARENT = frozenset({"lm", "pipelines", "lm.errors", "lm.progress", "lm.storage", "lm.code_version"})
"""Modules that shape no result: a better message or progress bar makes nothing stale."""


@lru_cache(maxsize=256)
def source_digest(module: str) -> str:
    """Return the digest of `module` and of its imports at any depth: 16 hexadecimal digits of sha256."""
    return digest_of(contributing_modules(module))


def digest_of(modules: Iterable[str]) -> str:
    """Return 16 hexadecimal digits of the sha256 over the names and sources of `modules`.

    Raises:
        ModuleNotFoundError: one has no source file.
    """
    digest = hashlib.sha256()
    for name in sorted(modules):
        digest.update(name.encode() + b"\0" + _source(name) + b"\0")
    return digest.hexdigest()[:16]


def contributing_modules(module: str) -> frozenset[str]:
    """Return `module` and all modules of `ROOMS` that it imports, at any depth, without the transparent ones."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen and name not in _TRANSPARENT:
            seen.add(name)
            waiting += _imports(name)
    return frozenset(seen)


@lru_cache(maxsize=1024)
def _imports(module: str) -> tuple[str, ...]:
    """The modules of this project that the source of `module` imports, at its top or inside functions."""
    found: set[str] = set()
    for node in _statements(ast.parse(_source(module))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(sorted(name for name in found if name.split(".")[0] in ROOMS and _path(name)))


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements of a module, those inside others too; expressions, most of a tree, hold no import."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, block, ())
            if isinstance(inner, list):
                waiting += inner


@lru_cache(maxsize=1024)
def _path(module: str) -> Path | None:
    """The source file of `module`, found without importing anything but the project's root package."""
    root, *rest = module.split(".")
    spec = importlib.util.find_spec(root)
    if spec is None or spec.origin is None:
        return None
    place = Path(spec.origin).parent.joinpath(*rest)
    for candidate in (place / "__init__.py", place.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


@lru_cache(maxsize=1024)
def _source(module: str) -> bytes:
    path = _path(module)
    if path is None:
        raise ModuleNotFoundError(f"no module '{module}'")
    return path.read_bytes()
