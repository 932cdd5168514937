"""Dagster configuration schemas from dataclasses: every field with its type, default, choices and description.

The dataclass beside the code stays the only definition. A field's description is its `Doc`, followed by its `Range`.

Decisions:
- Dagster checks names, types and choices at launch. Ranges and combinations are checked for all assets of a run before
  its first step does anything, so a mistake in the last asset costs seconds.
- Dagster's launchpad leaves out fields whose default is None. Such a field is shown empty, as '' or [], and an empty
  value stands for the default.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import dagster as dg

from lm.configuration import field_choices, field_descriptions, from_mapping, plain
from lm.errors import ConfigurationError

C = TypeVar("C")

_CLASSES: dict[str, tuple[type, dict[str, Any]]] = {}
"""The configuration class of each asset, and the defaults that replace the class's own."""

_EMPTY: tuple[object, ...] = ("", [])


def schema_of(asset: str, cls: type, **defaults: Any) -> dg.Shape:
    """Return the Dagster configuration schema of an asset from its dataclass; `defaults` replace the dataclass's own.

    Raises:
        TypeError: a field without a description, or of a type that the launchpad cannot show.
    """
    _CLASSES[asset] = cls, defaults
    # Dagster keeps one shape for equal fields and descriptions, so the description names the class.
    return dg.Shape(_fields_of(cls, defaults), description=f"{cls.__module__}.{cls.__qualname__}")


def check_run(run_config: Mapping[str, Any]) -> None:
    """Check the configurations of all assets of a run.

    Raises:
        ConfigurationError: names the asset, the field, the value and its range.
    """
    for asset, section in (run_config.get("ops") or {}).items():
        if asset in _CLASSES:
            cls, defaults = _CLASSES[asset]
            try:
                from_mapping(cls, _filled(cls, {**defaults, **(section.get("config") or {})}))
            except ConfigurationError as error:
                raise ConfigurationError(f"{asset}: {error}") from None


def _fields_of(cls: type, defaults: Mapping[str, Any]) -> dict[str, dg.Field]:
    hints = typing.get_type_hints(cls)
    descriptions, choices = field_descriptions(cls), field_choices(cls)
    schema = {}
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        if field.name not in descriptions:
            raise TypeError(f"{cls.__name__}.{field.name}: has no description (`Doc`)")
        options: dict[str, Any] = {"description": descriptions[field.name]}
        default = defaults.get(field.name, _default(field))
        kind = _config_type(hints[field.name], f"{cls.__name__}_{field.name}")
        if field.name in choices:
            kind = _enum(f"{cls.__name__}_{field.name}", choices[field.name])
        if default is None:
            kind, default = _shown_empty(hints[field.name], kind, f"{cls.__name__}_{field.name}")
        if default is not dataclasses.MISSING:
            options |= {"default_value": plain(default), "is_required": False}
        schema[field.name] = dg.Field(kind, **options)
    return schema


def _shown_empty(hint: Any, kind: Any, name: str) -> tuple[Any, Any]:
    """Return a type that also accepts an empty value, and that value: a default of None would not be shown."""
    inner = _without_none(hint)
    if inner is str:
        return dg.Noneable(str), ""
    if typing.get_origin(inner) is typing.Literal:
        return dg.Noneable(_enum(name, ["", *typing.get_args(inner)])), ""
    if inner in (int, float, bool):
        return dg.Noneable(dg.ScalarUnion(scalar_type=inner, non_scalar_schema=dg.Array(inner))), []
    raise TypeError(f"{name}: the launchpad cannot show an empty field of type {hint}")


def _filled(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values without the empty ones of fields whose default is None."""
    open_fields = {field.name for field in dataclasses.fields(cls) if field.default is None}
    return {
        name: _filled_inner(cls, name, value)
        for name, value in values.items()
        if not (name in open_fields and value in _EMPTY)
    }


def _filled_inner(cls: type, name: str, value: Any) -> Any:
    hint = typing.get_type_hints(cls).get(name)
    inside = hint if dataclasses.is_dataclass(hint) else next(iter(typing.get_args(hint)), None)
    if not (dataclasses.is_dataclass(inside) and isinstance(inside, type)):
        return value
    if isinstance(value, Mapping):
        return _filled(inside, value)
    return [_filled(inside, each) for each in value] if isinstance(value, list) else value


def config_of(context: dg.AssetExecutionContext, cls: type[C]) -> C:
    """Return the dataclass from the configuration that a run gave to its asset."""
    return from_mapping(cls, given(context))


def given(context: dg.AssetExecutionContext) -> dict[str, Any]:
    """Return the configuration that a run gave to its asset, defaults included."""
    values = dict(context.op_execution_context.op_config)
    return _filled(_CLASSES[context.op_execution_context.op_def.name][0], values)


def _config_type(hint: Any, name: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (int, float, str, bool):
        return hint
    if (inner := _without_none(hint)) is not hint:
        return dg.Noneable(_config_type(inner, name))
    if origin is typing.Literal:
        return _enum(name, arguments)
    if origin in (tuple, list) and (origin is list or arguments[-1] is Ellipsis):
        return dg.Array(_config_type(arguments[0], name))
    if origin is tuple and len(set(arguments)) == 1:
        return dg.Array(_config_type(arguments[0], name))
    if origin in (dict, typing.get_origin(typing.Mapping[str, int])):
        return dg.Permissive()
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return dg.Shape(_fields_of(hint, {}))
    raise TypeError(f"{name}: the launchpad cannot show a field of type {hint}")


def _enum(name: str, choices: Iterable[str]) -> dg.Enum:
    return dg.Enum(name, [dg.EnumValue(choice) for choice in choices])


def _without_none(hint: Any) -> Any:
    """Return the type within an optional type; any other type as it is."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [argument for argument in typing.get_args(hint) if argument is not type(None)]
        if len(inner) == 1:
            return inner[0]
    return hint


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return dataclasses.MISSING
