"""Configuration dataclasses on the launchpad: types, defaults, choices, descriptions, and the way back."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

import dagster as dg
import pytest

from assets.support.failures import explained
from assets.support.launchpad import config_of, mistake_of, schema_of
from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: Annotated[float, Doc("Step size."), Range(above=0)] = 0.5


@dataclass(frozen=True, kw_only=True)
class Outer:
    """A configuration of every kind of field."""

    num_steps: Annotated[int, Doc("How many steps."), Range(1)] = 10
    kind: Annotated[Literal["a", "b"], Doc("Which one.")] = "a"
    languages: Annotated[tuple[str, ...], Doc("ISO 639-1 codes.")] = ("en",)
    limit: Annotated[int | None, Doc("At most this many; empty means all."), Range(1)] = None
    inner: Annotated[Inner, Doc("The inner part.")] = field(default_factory=Inner)

    def __post_init__(self):
        settle(self)
        if self.num_steps == 7:
            raise ConfigurationError("num_steps: 7, expected another number than 7")


def run(config):
    seen = []

    @dg.asset(config_schema=schema_of(Outer))
    @explained
    def thing(context: dg.AssetExecutionContext) -> None:
        seen.append(config_of(context, Outer))

    run_config = {"ops": {"thing": {"config": config}}} if config else {}
    result = dg.materialize([thing], run_config=run_config, raise_on_error=False)
    return seen, result


def test_defaults_reach_the_asset():
    seen, result = run({})
    assert result.success
    assert seen == [Outer()]


def test_values_reach_the_asset():
    seen, _ = run({"kind": "b", "languages": ["de"], "limit": 3, "inner": {"rate": 2.0}})
    assert seen == [Outer(kind="b", languages=("de",), limit=3, inner=Inner(rate=2.0))]


@pytest.mark.fault(46)
@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"num_step": 3}, "num_step"),
        ({"kind": "c"}, "kind"),
        ({"inner": {"rat": 1.0}}, "rat"),
        ({"num_steps": "x"}, "num_steps"),
        ({"num_steps": 0}, "thing: Outer.num_steps: 0, expected at least 1"),
        ({"limit": -1}, "thing: Outer.limit: -1, expected at least 1"),
        ({"inner": {"rate": 0.0}}, "thing: Outer.inner.rate: 0.0, expected above 0"),
        ({"inner": {"rate": math.nan}}, "rate: nan, expected a finite number, above 0"),
        ({"num_steps": 7}, "thing: num_steps: 7, expected another number than 7"),
    ],
)
def test_a_mistake_stops_before_the_run(config, line):
    with pytest.raises(dg.DagsterInvalidConfigError) as refused:
        run(config)
    assert line in mistake_of(refused.value) and "\n" not in mistake_of(refused.value)


def test_every_field_is_described():
    assert schema_of(Outer).fields["kind"].description == "Which one."
    assert schema_of(Outer).fields["num_steps"].description == "How many steps. (at least 1)"
    assert schema_of(Outer, num_steps=9).fields["num_steps"].default_value == 9

    @dataclass(frozen=True, kw_only=True)
    class Silent:
        number: int = 1

    with pytest.raises(TypeError, match=r"Silent\.number: has no description"):
        schema_of(Silent)
