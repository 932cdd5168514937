"""Configuration dataclasses: conversion from plain values, range checks, and the descriptions of their fields.

A field says what it means and what it may be:

    batch_size: Annotated[int, Doc("Windows a step."), Range(1)] = 4

Decisions:
- An unknown key is an error that names the nearest known one.
- An int is accepted where a float is wanted; nothing else is converted silently.
- A float is finite, an int is below 2^63, and every number of a field lies in the field's `Range`.
- A field whose default is None may be left open, also where its type says otherwise: `__post_init__` fills it in.
- Nested dataclasses, sequences, mappings, optional values and `Literal` choices are supported; no other types are.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from lm.errors import ConfigurationError

C = TypeVar("C")

_HINTS: dict[Any, dict[str, Any]] = {}
_INT_BITS, _FLOAT_BITS = 63, 1_023


@dataclass(frozen=True, slots=True)
class Doc:
    """The description of a field, for the launchpad and `--help`."""

    text: str


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a field accepts: `Range(1)` is at least 1, `Range(0, 1)` is 0 to 1; `above` and `below` are
    exclusive bounds. In a field of several numbers it holds for each.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            math.isfinite(value)
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{_number(self.least)} to {_number(self.most)}"
        bounds = (("at least", self.least), ("above", self.above), ("at most", self.most), ("below", self.below))
        return " and ".join(f"{word} {_number(value)}" for word, value in bounds if value is not None)


@dataclass(frozen=True, slots=True)
class OneOf:
    """The names that a field accepts: the keys of a table, such as that of the presets."""

    names: typing.Iterable[str]


def from_mapping(cls: type[C], mapping: Mapping[str, Any], where: str = "") -> C:
    """Build the dataclass `cls` from plain values.

    `where` prefixes the field's name in messages, as in `pretrain.model`.

    Raises:
        ConfigurationError: an unknown key, a missing one, or a value of the wrong type or outside of its range.
    """
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    place = where or cls.__name__
    for key in mapping:
        if key not in fields:
            raise ConfigurationError(unknown_key(key, fields, place))
    hints = _hints(cls)
    values = {
        key: None if value is None and fields[key].default is None else _convert(hints[key], value, f"{place}.{key}")
        for key, value in mapping.items()
    }
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise ConfigurationError(f"{place}.{name}: missing, and it has no default")
    return cls(**values)


def settle(config: Any, where: str = "") -> None:
    """Check and convert every field of a frozen dataclass as `from_mapping` does; `__post_init__` calls it first.

    Raises:
        ConfigurationError: a value of the wrong type, outside of its range, or none of a `Literal`'s choices.
    """
    hints, prefix = _hints(type(config)), f"{where}." if where else ""
    left_open = {field.name for field in dataclasses.fields(config) if field.default is None}
    for name, hint in hints.items():
        value = getattr(config, name)
        if value is not None or name not in left_open:
            object.__setattr__(config, name, _convert(hint, value, f"{prefix}{name}"))


def _hints(cls: Any) -> dict[str, Any]:
    """Return the types of the fields of `cls`, with their `Doc` and `Range`."""
    if cls not in _HINTS:
        found = typing.get_type_hints(cls, include_extras=True)
        _HINTS[cls] = {field.name: found[field.name] for field in dataclasses.fields(cls) if field.init}
    return _HINTS[cls]


def to_mapping(config: Any) -> dict[str, Any]:
    """Return the dataclass as plain JSON values: tuples become lists, nested dataclasses dictionaries."""
    return {field.name: plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def unknown_key(key: str, known: typing.Iterable[str], place: str) -> str:
    """Return the message for an unknown `key` of `place`, with the nearest known one."""
    names = sorted(known)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
    return f"{place}: unknown key '{key}'; {hint}"


def plain(value: Any) -> Any:
    """Return `value` as plain JSON values: tuples become lists, dataclasses and mappings dictionaries."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_mapping(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def field_descriptions(cls: type) -> dict[str, str]:
    """Return the description of every documented field of `cls`, by field name, followed by its range."""
    return {
        name: " ".join([doc.text, *(f"({bounds})" for bounds in _notes(hint, Range))])
        for name, hint in _hints(cls).items()
        for doc in _notes(hint, Doc)
    }


def field_ranges(cls: type) -> dict[str, Range]:
    """Return the range of every field of `cls` that has one, by field name."""
    return {name: bounds for name, hint in _hints(cls).items() for bounds in _notes(hint, Range)}


def field_choices(cls: type) -> dict[str, list[str]]:
    """Return the names that each field with a `OneOf` accepts, by field name."""
    return {name: list(choices.names) for name, hint in _hints(cls).items() for choices in _notes(hint, OneOf)}


def _notes(hint: Any, kind: type[C]) -> list[C]:
    """Return the annotations of one kind that `Annotated` adds to a type."""
    return [note for note in getattr(hint, "__metadata__", ()) if isinstance(note, kind)]


def _convert(hint: Any, value: Any, place: str, bounds: Range | None = None) -> Any:
    """Return `value` as the type `hint`; numbers within it are held to `bounds`, or to those of an inner
    `Annotated`.
    """
    if typing.get_origin(hint) is typing.Annotated:
        converted = _convert(typing.get_args(hint)[0], value, place, next(iter(_notes(hint, Range)), bounds))
        for choices in _notes(hint, OneOf):
            if converted not in choices.names:
                raise ConfigurationError(unknown_key(converted, choices.names, place))
        return converted
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(arguments, value, place, bounds)
    if origin is typing.Literal:
        if not any(value == choice and type(value) is type(choice) for choice in arguments):
            raise ConfigurationError(f"{place}: {value!r}, expected one of {', '.join(map(repr, arguments))}")
        return value
    if origin in (tuple, list):
        return _convert_sequence(origin, arguments, value, place, bounds)
    if origin in (dict, Mapping) or hint in (dict, Mapping):
        return _convert_mapping(arguments, value, place, bounds)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, hint):
            return value
        return from_mapping(hint, _expect(value, Mapping, "a mapping", place), place)
    return _convert_scalar(hint, value, place, bounds or Range())


def _convert_union(options: tuple[Any, ...], value: Any, place: str, bounds: Range | None) -> Any:
    if value is None and type(None) in options:
        return None
    failures = []
    for option in options:
        if option is type(None):
            continue
        try:
            return _convert(option, value, place, bounds)
        except ConfigurationError as error:
            failures.append(error)
    raise failures[-1]


def _convert_sequence(origin: type, arguments: tuple[Any, ...], value: Any, place: str, bounds: Range | None) -> Any:
    items = _expect(value, list | tuple, "a list", place)
    variadic = origin is list or (len(arguments) == 2 and arguments[1] is Ellipsis)
    hints = [arguments[0]] * len(items) if variadic else list(arguments)
    if len(hints) != len(items):
        raise ConfigurationError(f"{place}: {len(items)} values, expected {len(hints)}")
    return origin(
        _convert(hint, item, f"{place}[{i}]", bounds) for i, (hint, item) in enumerate(zip(hints, items, strict=True))
    )


def _convert_mapping(arguments: tuple[Any, ...], value: Any, place: str, bounds: Range | None) -> Any:
    items = _expect(value, Mapping, "a mapping", place)
    if not arguments or arguments[1] is Any:
        return items
    return {
        _convert(arguments[0], key, f"{place}: key"): _convert(arguments[1], item, f"{place}.{key}", bounds)
        for key, item in items.items()
    }


def _convert_scalar(hint: Any, value: Any, place: str, bounds: Range) -> Any:
    if hint is float and type(value) is int and value.bit_length() <= _FLOAT_BITS:
        value = float(value)
    if hint in (int, float, str, bool):
        wrong = isinstance(value, bool) and hint is not bool
        if wrong or not isinstance(value, hint):
            raise ConfigurationError(f"{place}: {_shown(value)} is a {type(value).__name__}, expected {hint.__name__}")
    if type(value) is int and value.bit_length() > _INT_BITS:
        raise ConfigurationError(f"{place}: {_shown(value)}, expected {_among('an integer below 2^63', bounds)}")
    if type(value) is float and not math.isfinite(value):
        raise ConfigurationError(f"{place}: {value}, expected {_among('a finite number', bounds)}")
    if type(value) in (int, float) and value not in bounds:
        raise ConfigurationError(f"{place}: {value}, expected {bounds}")
    return value


def _among(kind: str, bounds: Range) -> str:
    return f"{kind}, {bounds}" if str(bounds) else kind


def _number(value: float) -> str:
    """Return a bound as people write it: 2^63 rather than its 19 digits."""
    if isinstance(value, int) and value >= 2**20 and value & (value - 1) == 0:
        return f"2^{value.bit_length() - 1}"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _shown(value: Any) -> str:
    """Return a value in a message: short, also where Python refuses to write a huge integer out."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length():,} bits"
    return f"{value!r:.80}"


def _expect(value: Any, kind: Any, words: str, place: str) -> Any:
    if not isinstance(value, kind):
        raise ConfigurationError(f"{place}: {_shown(value)} is a {type(value).__name__}, expected {words}")
    return value
