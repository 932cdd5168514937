"""Dagster configuration schemas from dataclasses: every field with its type, default, choices and description.

The dataclass beside the code stays the only definition; the launchpad shows it, and a launch is refused where the
dataclass refuses the values. A field's description is its `Doc`, followed by its `Range`.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import dagster as dg
from dagster._config import PostProcessingError

from lm.configuration import field_descriptions, from_mapping, plain
from lm.errors import ConfigurationError

C = TypeVar("C")


def schema_of(cls: type, **defaults: Any) -> dg.Shape:
    """Return the Dagster configuration schema of a dataclass; `defaults` replace the dataclass's own.

    Dagster checks types at launch; ranges and combinations are checked then too, by building the dataclass.

    Raises:
        TypeError: a field without a description, or of a type that the launchpad cannot show.
    """
    # Dagster keeps one shape for equal fields and descriptions, so the description names the class.
    shape = dg.Shape(_fields_of(cls, defaults), description=f"{cls.__module__}.{cls.__qualname__}")
    shape.post_process = functools.partial(_checked, cls)  # type: ignore[method-assign]
    return shape


def mistake_of(error: dg.DagsterInvalidConfigError) -> str:
    """Return the first mistake of a refused configuration in one line that begins with its asset."""
    message = error.errors[0].message
    asset = re.search(r"root:ops:(\w+)", message)
    found = re.search(rf"{PostProcessingError.__name__}: (.*)", message)
    line = found[1] if found else message.splitlines()[0]
    return f"{asset[1]}: {line}" if asset else line


def _checked(cls: type, value: dict[str, Any]) -> dict[str, Any]:
    try:
        from_mapping(cls, value)
    except ConfigurationError as error:
        raise PostProcessingError(str(error)) from None
    return value


def _fields_of(cls: type, defaults: Mapping[str, Any]) -> dict[str, dg.Field]:
    hints = typing.get_type_hints(cls)
    descriptions = field_descriptions(cls)
    schema = {}
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        if field.name not in descriptions:
            raise TypeError(f"{cls.__name__}.{field.name}: has no description (`Doc`)")
        kind = _config_type(hints[field.name], f"{cls.__name__}_{field.name}")
        options: dict[str, Any] = {"description": descriptions[field.name]}
        default = defaults.get(field.name, _default(field))
        if default is None and type(None) not in typing.get_args(hints[field.name]):
            options |= {"is_required": False}  # the class fills it in
        elif default is not dataclasses.MISSING:
            options |= {"default_value": plain(default), "is_required": False}
        schema[field.name] = dg.Field(kind, **options)
    return schema


def config_of(context: dg.AssetExecutionContext, cls: type[C]) -> C:
    """The dataclass from the configuration that a run gave to its asset."""
    return from_mapping(cls, given(context))


def given(context: dg.AssetExecutionContext) -> dict[str, Any]:
    """The configuration that a run gave to its asset, defaults included."""
    return dict(context.op_execution_context.op_config)


def _config_type(hint: Any, name: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (int, float, str, bool):
        return hint
    if origin in (typing.Union, types.UnionType):
        inner = [argument for argument in arguments if argument is not type(None)]
        if len(inner) == 1:
            return dg.Noneable(_config_type(inner[0], name))
    if origin is typing.Literal:
        return dg.Enum(name, [dg.EnumValue(choice) for choice in arguments])
    if origin in (tuple, list) and (origin is list or arguments[-1] is Ellipsis):
        return dg.Array(_config_type(arguments[0], name))
    if origin is tuple and len(set(arguments)) == 1:
        return dg.Array(_config_type(arguments[0], name))
    if origin in (dict, typing.get_origin(typing.Mapping[str, int])):
        return dg.Permissive()
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return dg.Shape(_fields_of(hint, {}))
    raise TypeError(f"{name}: the launchpad cannot show a field of type {hint}")


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return dataclasses.MISSING
