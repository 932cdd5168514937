"""Configuration as frozen keyword-only dataclasses: from plain values, with every mistake named.

Decisions: an unknown key is an error that names the nearest known one; an int is accepted where a float is wanted,
nothing else is converted silently; a float is finite; nested dataclasses, tuples, optional values and `Literal` choices
are understood; nothing else is.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import inspect
import itertools
import math
import re
import sys
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from lm.errors import ConfigurationError

C = TypeVar("C")

_CLASS = re.compile(r"^class (\w+).*?(?=^[^\s#)]|\Z)", re.MULTILINE | re.DOTALL)


def from_mapping(cls: type[C], mapping: Mapping[str, Any], where: str = "") -> C:
    """Build the dataclass `cls` from plain values.

    `where` prefixes the field's name in messages, as in `pretrain.model`.

    Raises:
        ConfigurationError: an unknown key, a missing one, or a value of the wrong type.
    """
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    place = where or cls.__name__
    for key in mapping:
        if key not in fields:
            raise ConfigurationError(unknown_key(key, fields, place))
    hints = _hints(cls)
    values = {key: _convert(hints[key], value, f"{place}.{key}") for key, value in mapping.items()}
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise ConfigurationError(f"{place}.{name}: missing, and it has no default")
    return cls(**values)


def settle(config: Any, where: str = "") -> None:
    """For `__post_init__`: hold every field of a frozen dataclass to its type, also where it was built by its
    constructor, and convert as `from_mapping` does.

    Raises:
        ConfigurationError: a value of the wrong type, or none of a `Literal`'s choices.
    """
    hints, prefix = _hints(type(config)), f"{where}." if where else ""
    for name, hint in hints.items():
        object.__setattr__(config, name, _convert(hint, getattr(config, name), f"{prefix}{name}"))


def _hints(cls: Any) -> dict[str, Any]:
    """The types of the fields of `cls`."""
    found = typing.get_type_hints(cls)
    return {field.name: found[field.name] for field in dataclasses.fields(cls)}


def to_mapping(config: Any) -> dict[str, Any]:
    """The dataclass as plain JSON values: tuples become lists, nested dataclasses dictionaries."""
    return {field.name: plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def unknown_key(key: str, known: typing.Iterable[str], place: str) -> str:
    """The message for an unknown `key` of `place`, with the nearest known one."""
    names = sorted(known)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
    return f"{place}: unknown key '{key}'; {hint}"


def plain(value: Any) -> Any:
    """`value` as plain JSON values: tuples become lists, dataclasses and mappings dictionaries."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_mapping(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def field_descriptions(cls: type) -> dict[str, str]:
    """The string literals that follow the fields of `cls` and its bases, by field name; none of a class within a
    function."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if dataclasses.is_dataclass(base):
            source = _class_sources(sys.modules[base.__module__].__file__ or "").get(base.__name__, "")
            found |= _literals_after_fields([each for node in ast.parse(source).body for each in node.body])  # type: ignore[attr-defined]
    return found


@functools.cache
def _class_sources(path: str) -> dict[str, str]:
    """The text of every class at the top level of a source file, up to the next line that is not indented.

    Parsing whole files would double what it takes to load Dagster's definitions.
    """
    return {match[1]: match[0] for match in _CLASS.finditer(Path(path).read_text(encoding="utf-8"))}


def _literals_after_fields(statements: list[ast.stmt]) -> dict[str, str]:
    found = {}
    for statement, following in itertools.pairwise(statements):
        named = isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
        literal = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if named and literal:
            found[statement.target.id] = inspect.cleandoc(str(following.value.value))  # type: ignore[attr-defined]
    return found


def _convert(hint: Any, value: Any, place: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(typing.get_args(hint), value, place)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            choices = ", ".join(repr(choice) for choice in typing.get_args(hint))
            raise ConfigurationError(f"{place}: {value!r} is none of {choices}")
        return value
    if origin in (tuple, list):
        return _convert_sequence(origin, typing.get_args(hint), value, place)
    if origin is dict or origin is Mapping or hint is dict:
        return _expect(value, Mapping, "a mapping", place)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, hint):
            return value
        return from_mapping(hint, _expect(value, Mapping, "a mapping", place), place)
    return _convert_scalar(hint, value, place)


def _convert_union(options: tuple[Any, ...], value: Any, place: str) -> Any:
    if value is None and type(None) in options:
        return None
    failures = []
    for option in options:
        if option is type(None):
            continue
        try:
            return _convert(option, value, place)
        except ConfigurationError as error:
            failures.append(error)
    raise failures[-1]


def _convert_sequence(origin: type, arguments: tuple[Any, ...], value: Any, place: str) -> Any:
    items = _expect(value, list | tuple, "a list", place)
    variadic = origin is list or (len(arguments) == 2 and arguments[1] is Ellipsis)
    hints = [arguments[0]] * len(items) if variadic else list(arguments)
    if len(hints) != len(items):
        raise ConfigurationError(f"{place}: {len(items)} values, expected {len(hints)}")
    return origin(
        _convert(hint, item, f"{place}[{i}]") for i, (hint, item) in enumerate(zip(hints, items, strict=True))
    )


def _convert_scalar(hint: Any, value: Any, place: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = _float(value, place)
    if hint in (int, float, str, bool):
        wrong = isinstance(value, bool) and hint is not bool
        if wrong or not isinstance(value, hint):
            raise ConfigurationError(f"{place}: {value!r} is a {type(value).__name__}, expected {hint.__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"{place}: {value}, expected a finite number")
    return value


def _float(value: int, place: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ConfigurationError(f"{place}: a number of {len(str(value))} digits is too large for a float") from None


def _expect(value: Any, kind: Any, words: str, place: str) -> Any:
    if not isinstance(value, kind):
        raise ConfigurationError(f"{place}: {value!r} is a {type(value).__name__}, expected {words}")
    return value
