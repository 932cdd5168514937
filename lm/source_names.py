"""The names that a module defines, imports and uses, read from its source without importing it.

A use is a dotted name such as `pipelines.filters.pii.mask_emails`. Aliases are resolved, so the place and form of an
import make no difference.

Decisions:
- The annotations of functions and local variables are left out: they run nothing. Those of classes stay, since
  configurations are converted by them.
- A string such as "package.module" or "package.module:function" counts as a use, as in `python -m` or `importlib`.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from lm.code_cache import code_cache

_NAME_OF_CODE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?::[A-Za-z_]\w*)?")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


@dataclass(frozen=True, slots=True)
class ModuleNames:
    """The names in the source of one module."""

    defined: Mapping[str, frozenset[str]]
    """The uses of each name that a statement of the module's top level defines."""
    imported: Mapping[str, str]
    """The dotted name behind each imported name."""
    at_import: frozenset[str]
    """The uses of statements that run at import and define nothing."""


@lru_cache(maxsize=4096)
def source_path(module: str) -> Path | None:
    """Return the source file of `module`, found without importing more than its root package; None where there is
    none."""
    loaded = sys.modules.get(module)
    if module == "__main__":
        return Path(loaded.__file__) if loaded is not None and loaded.__file__ else None
    root, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    place = Path(spec.origin)
    if rest or place.name == "__init__.py":
        place = place.parent.joinpath(*rest)
    for candidate in (place / "__init__.py", place.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


@lru_cache(maxsize=4096)
def source_of(module: str) -> bytes:
    """Return the source of `module`.

    Raises:
        ModuleNotFoundError: it has no source file.
    """
    path = source_path(module)
    if path is None:
        raise ModuleNotFoundError(f"no module '{module}'")
    return path.read_bytes()


@lru_cache(maxsize=4096)
def names_of(module: str) -> ModuleNames:
    """Return the names of `module`. They are kept on disk until its source or this file changes.

    Raises:
        ModuleNotFoundError: it has no source file.
    """
    source = source_of(module)
    code = "\0".join([sha256(source).hexdigest(), sha256(source_of(__name__)).hexdigest()])
    path = code_cache("names") / f"{module}.json"
    try:
        kept = json.loads(path.read_bytes())
        if kept["code"] == code:
            defined = {name: frozenset(uses) for name, uses in kept["defined"].items()}
            return ModuleNames(defined, kept["imported"], frozenset(kept["at_import"]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass  # not kept yet, or damaged
    names = parse_names(module, source)
    sets = {
        "defined": {name: sorted(uses) for name, uses in names.defined.items()},
        "at_import": sorted(names.at_import),
    }
    temporary = path.with_suffix(f".{os.getpid()}")
    try:
        temporary.write_text(json.dumps({"code": code, **sets, "imported": names.imported}))
        temporary.replace(path)
    except OSError:  # a full disk, or no folder to write to
        with suppress(OSError):
            temporary.unlink()
    return names


def parse_names(module: str, source: bytes) -> ModuleNames:
    """Return the names of a module, from its source."""
    statements = list(_top_level(ast.parse(source).body))
    imported = _imports(statements)
    defines = [(list(_targets(statement)), statement) for statement in statements]
    own = {name: f"{module}.{name}" for names, _ in defines for name in names}
    known = {**own, **imported}
    defined: dict[str, frozenset[str]] = {}
    at_import: frozenset[str] = frozenset()
    for names, statement in defines:
        uses = _uses(statement, known)
        for name in names:
            defined[name] = defined.get(name, frozenset()) | uses
        if not names:
            at_import |= uses
    return ModuleNames(defined, imported, at_import)


def _top_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module's top level, those inside `if`, `try` and `with` too."""
    for statement in body:
        if isinstance(statement, ast.If | ast.Try | ast.With):
            for block in _BLOCKS:
                for inner in getattr(statement, block, ()):
                    yield from _top_level(inner.body if isinstance(inner, ast.ExceptHandler) else [inner])
        else:
            yield statement


def _imports(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """Return the dotted name behind each name of the import statements among `nodes`."""
    found = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                found[name] = alias.name if alias.asname else name
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return found


def _targets(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement of the top level defines or changes."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    places: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        places = list(statement.targets)
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        places = [statement.target]
    while places:
        place = places.pop()
        if isinstance(place, ast.Name):
            yield place.id
        elif isinstance(place, ast.Tuple | ast.List):
            places += place.elts
        elif isinstance(place, ast.Attribute | ast.Subscript | ast.Starred):
            places.append(place.value)


def _uses(statement: ast.stmt, known: Mapping[str, str]) -> frozenset[str]:
    """Return the dotted names that a statement uses; `known` are the module's own names and its imports."""
    known = {**known, **_imports(ast.walk(statement))}
    found = set()
    waiting: list[tuple[ast.AST, bool]] = [(statement, False)]
    while waiting:
        node, in_function = waiting.pop()
        dotted = _dotted(node)
        if dotted is not None:
            first, _, rest = dotted.partition(".")
            if first in known:
                found.add(f"{known[first]}.{rest}" if rest else known[first])
            continue
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str) and _NAME_OF_CODE.fullmatch(node.value):
                found.add(node.value.replace(":", "."))
            continue
        inside = in_function or isinstance(node, _FUNCTIONS)
        waiting += [(child, inside) for child in _children(node, in_function)]
    return frozenset(found)


def _dotted(node: ast.AST) -> str | None:
    """Return the dotted name of a node, or None for another expression."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(names)])


def _children(node: ast.AST, in_function: bool) -> Iterator[ast.AST]:
    """Yield the parts of a node that are executed."""
    for name, value in ast.iter_fields(node):
        is_annotation = name == "returns" or (name == "annotation" and (in_function or isinstance(node, ast.arg)))
        if not is_annotation:
            yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, ast.AST))
