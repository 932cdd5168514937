"""Every configuration of every room: each field described, each number held to its range, at construction and from
plain values."""

import dataclasses
import importlib.util
import math
import pkgutil
import types
import typing
from collections.abc import Mapping

import pytest

from lm.configuration import field_descriptions, field_ranges, from_mapping
from lm.errors import ConfigurationError
from lm.model.presets import PRESETS

ROOMS = ("lm", "pipelines", *(["assets.graph"] if importlib.util.find_spec("dagster") else []))
REQUIRED = {
    "ModelConfig": dict(PRESETS["test"]),
    "PretrainConfig": {"num_steps": 8},
    "PlannedTraining": {"num_steps": 8},
    "TrainingRequest": {
        "train_flops": 1e9, "d_model": 16, "num_layers": 1, "num_heads": 2, "learning_rate": 0.1,
    },
}  # fmt: skip
"""Values for configurations that do without defaults."""


def modules():
    for room in ROOMS:
        package = importlib.import_module(room)
        for found in pkgutil.walk_packages(package.__path__, f"{room}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def notes(hint):
    return getattr(hint, "__metadata__", ())


def configurations():
    """The dataclasses that have a field with a description or a range."""
    found = {}
    for module in modules():
        for value in vars(module).values():
            own = isinstance(value, type) and value.__module__ == module.__name__
            if own and dataclasses.is_dataclass(value) and "Doc(" in str(vars(value)["__annotations__"]):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return found


CONFIGURATIONS = configurations()
EVERY = pytest.mark.parametrize("cls", CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())


def holds_numbers(hint):
    """Whether a value of this type has numbers in it, but for the choices of a `Literal`."""
    if typing.get_origin(hint) is typing.Literal:
        return False
    return hint in (int, float) or any(holds_numbers(inner) for inner in typing.get_args(hint))


def wrapped(hint, number):
    """`number` as a value of the type `hint`."""
    hint = typing.get_args(hint)[0] if notes(hint) else hint
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return wrapped(next(each for each in arguments if each is not type(None)), number)
    if origin is tuple:
        return tuple(number for each in arguments if each is not Ellipsis)
    if origin in (dict, Mapping):
        return {"x": number}
    return number


def is_whole(hint):
    return hint is int or any(is_whole(inner) for inner in typing.get_args(hint))


def beyond(bounds, whole):
    """Numbers just outside of a range, and those that lie in none."""
    step = (lambda number, to: number + (1 if to > 0 else -1)) if whole else math.nextafter
    yield from (step(number, -math.inf) for number in [bounds.least] if number is not None)
    yield from (step(number, math.inf) for number in [bounds.most] if number is not None)
    yield from (number for number in (bounds.above, bounds.below) if number is not None)
    yield from [2**63, -(2**63), 10**400, -(10**400)] if whole else [math.nan, math.inf, -math.inf, -1e308]


def at(bounds, whole):
    """Numbers at the inclusive bounds of a range, and just inside of the exclusive ones."""
    step = (lambda number, to: number + (1 if to > 0 else -1)) if whole else math.nextafter
    yield from (number for number in (bounds.least, bounds.most) if number is not None)
    yield from (step(number, math.inf) for number in [bounds.above] if number is not None)
    yield from (step(number, -math.inf) for number in [bounds.below] if number is not None)


def required(cls):
    if cls.__name__ in REQUIRED:
        return REQUIRED[cls.__name__]
    hints = typing.get_type_hints(cls, include_extras=True)
    missing = [field for field in dataclasses.fields(cls) if field.default is field.default_factory]
    return {field.name: wrapped(hints[field.name], "x") for field in missing}


@EVERY
def test_every_field_is_described_and_every_number_has_a_range(cls):
    hints = typing.get_type_hints(cls, include_extras=True)
    names = [field.name for field in dataclasses.fields(cls) if field.init]
    assert set(field_descriptions(cls)) == set(names)
    assert set(field_ranges(cls)) == {name for name in names if holds_numbers(hints[name])}


@pytest.mark.fault(46)
@EVERY
def test_what_lies_outside_of_a_range_is_refused_with_field_and_range(cls):
    hints = typing.get_type_hints(cls, include_extras=True)
    for name, bounds in field_ranges(cls).items():
        for number in beyond(bounds, is_whole(hints[name])):
            values = {**required(cls), name: wrapped(hints[name], number)}
            for build in (lambda values: from_mapping(cls, values), lambda values: cls(**values)):
                with pytest.raises(ConfigurationError, match=name) as refusal:
                    build(values)
                assert str(bounds) in str(refusal.value)


@EVERY
def test_what_lies_at_the_bounds_is_in_range(cls):
    hints = typing.get_type_hints(cls, include_extras=True)
    for name, bounds in field_ranges(cls).items():
        for number in at(bounds, is_whole(hints[name])):
            try:
                cls(**{**required(cls), name: wrapped(hints[name], number)})
            except ConfigurationError as error:  # it may not go together with the other fields
                assert f"expected {bounds}" not in str(error)


@EVERY
def test_what_has_the_wrong_type_is_refused(cls):
    hints = typing.get_type_hints(cls, include_extras=True)
    for name in field_ranges(cls):
        for wrong in ("1", True, [[]], object()):
            with pytest.raises(ConfigurationError, match=name):
                from_mapping(cls, {**required(cls), name: wrapped(hints[name], wrong)})
