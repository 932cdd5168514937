"""Configuration: what converts, and how each mistake is named."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from lm.configuration import from_mapping, settle, to_mapping
from lm.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    num_steps: int = 10
    kind: Literal["a", "b"] = "a"
    languages: tuple[str, ...] = ("en",)
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)


def test_plain_values_become_the_dataclass_and_back():
    values = {"name": "x", "num_steps": 3, "kind": "b", "languages": ["de", "fr"], "limit": 4, "inner": {"rate": 1}}
    config = from_mapping(Outer, values)
    assert config == Outer(name="x", num_steps=3, kind="b", languages=("de", "fr"), limit=4, inner=Inner(rate=1.0))
    assert to_mapping(config) == values
    assert from_mapping(Outer, to_mapping(config)) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "x", "num_step": 3}, "Outer: unknown key 'num_step'; did you mean 'num_steps'?"),
        ({"name": "x", "zzz": 3}, "Outer: unknown key 'zzz'; known: inner, kind"),
        ({}, "Outer.name: missing, and it has no default"),
        ({"name": "x", "num_steps": "3"}, "Outer.num_steps: '3' is a str, expected int"),
        ({"name": "x", "num_steps": True}, "Outer.num_steps: True is a bool, expected int"),
        ({"name": "x", "num_steps": 3.5}, "Outer.num_steps: 3.5 is a float, expected int"),
        ({"name": "x", "kind": "c"}, "Outer.kind: 'c', expected one of 'a', 'b'"),
        ({"name": "x", "languages": "en"}, "Outer.languages: 'en' is a str, expected a list"),
        ({"name": "x", "languages": [1]}, r"Outer.languages\[0\]: 1 is a int, expected str"),
        ({"name": "x", "inner": {"rat": 1}}, "Outer.inner: unknown key 'rat'; did you mean 'rate'?"),
        ({"name": "x", "inner": 3}, "Outer.inner: 3 is a int, expected a mapping"),
        ({"name": "x", "inner": {"rate": float("nan")}}, "Outer.inner.rate: nan, expected a finite number"),
    ],
)
def test_each_mistake_is_named(values, message):
    with pytest.raises(ConfigurationError, match=message):
        from_mapping(Outer, values)


def test_none_is_taken_where_it_is_allowed():
    assert from_mapping(Outer, {"name": "x", "limit": None}).limit is None
    with pytest.raises(ConfigurationError, match=r"Outer\.name: None is a NoneType"):
        from_mapping(Outer, {"name": None})


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    rate: float = 1.0
    kind: Literal["a", "b"] = "a"
    sizes: tuple[int, ...] = ()

    def __post_init__(self):
        settle(self, "settled")


def test_a_constructor_is_as_strict_as_a_mapping():
    built = Settled(rate=2, sizes=[3, 4])
    assert built == from_mapping(Settled, {"rate": 2, "sizes": [3, 4]}) and type(built.rate) is float
    for wrong, message in (
        ({"kind": "c"}, "settled.kind: 'c', expected one of"),
        ({"rate": "1"}, "settled.rate: '1' is a"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            Settled(**wrong)
