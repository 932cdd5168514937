"""Configuration dataclasses on the launchpad: types, defaults, choices, descriptions, and the way back."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

import dagster as dg
import pytest

from assets.support.failures import explained
from assets.support.launchpad import check_run, config_of, schema_of
from lm.configuration import Doc, OneOf, Range, settle
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
    folder: Annotated[str | None, Doc("Where; empty means here.")] = None
    speed: Annotated[Literal["fast", "slow"], Doc("Empty means the recipe's.")] = None
    exact: Annotated[bool, Doc("Empty means the recipe's.")] = None
    share: Annotated[float | None, Doc("A share; null means none."), Range(0, 1)] = 0.5
    preset: Annotated[str, Doc("A named shape."), OneOf({"small": 1, "large": 2})] = "small"
    inner: Annotated[Inner, Doc("The inner part.")] = field(default_factory=Inner)

    def __post_init__(self):
        settle(self)
        if self.num_steps == 7:
            raise ConfigurationError("num_steps: 7, expected another number than 7")


def asset_seen_by(seen):
    """An asset that adds its configuration to `seen`."""

    @dg.asset(config_schema=schema_of("thing", Outer))
    @explained
    def thing(context: dg.AssetExecutionContext) -> None:
        seen.append(config_of(context, Outer))

    return thing


def run(config):
    seen = []
    run_config = {"ops": {"thing": {"config": config}}} if config else {}
    result = dg.materialize([asset_seen_by(seen)], run_config=run_config, raise_on_error=False)
    return seen, result


def test_defaults_reach_the_asset():
    seen, result = run({})
    assert result.success
    assert seen == [Outer()]


EMPTY = {"limit": [], "folder": "", "speed": "", "exact": []}


def test_the_launchpads_default_shows_every_field():
    definitions = dg.Definitions(assets=[asset_seen_by([])], jobs=[dg.define_asset_job("all", "*")])
    values = dg.validate_run_config(definitions.resolve_job_def("all"), {})["ops"]["thing"]["config"]
    assert list(values) == [field.name for field in dataclasses.fields(Outer)]
    assert None not in values.values()
    assert {name: values[name] for name in EMPTY} == EMPTY


def test_empty_values_stand_for_the_defaults():
    assert run({**EMPTY, "share": None})[0] == [Outer(share=None)]
    seen, _ = run({"limit": 2, "folder": "x", "speed": "slow", "exact": False})
    assert seen == [Outer(limit=2, folder="x", speed="slow", exact=False)]


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
        ({"speed": "medium"}, "speed"),
        ({"preset": "huge"}, "preset"),
        ({"exact": "yes"}, "exact"),
    ],
)
def test_a_mistyped_value_is_refused_at_launch(config, line):
    with pytest.raises(dg.DagsterInvalidConfigError, match=line):
        run(config)


@pytest.mark.fault(46)
@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"num_steps": 0}, "thing: Outer.num_steps: 0, expected at least 1"),
        ({"limit": -1}, "thing: Outer.limit: -1, expected at least 1"),
        ({"limit": [3]}, "thing: Outer.limit: [3] is a list, expected int"),
        ({"inner": {"rate": 0.0}}, "thing: Outer.inner.rate: 0.0, expected above 0"),
        ({"inner": {"rate": math.nan}}, "thing: Outer.inner.rate: nan, expected a finite number, above 0"),
        ({"num_steps": 7}, "thing: num_steps: 7, expected another number than 7"),
    ],
)
def test_a_value_out_of_range_stops_the_run_before_its_first_step(config, line):
    """The check covers all assets of the run: the mistaken one is the last here."""
    made = []

    @dg.asset
    @explained
    def first(context: dg.AssetExecutionContext) -> None:
        made.append("first")

    @dg.asset(deps=[first], config_schema=schema_of("thing", Outer))
    @explained
    def thing(context: dg.AssetExecutionContext) -> None:
        made.append("thing")

    run_config = {"ops": {"thing": {"config": config}}}
    result = dg.materialize([first, thing], run_config=run_config, raise_on_error=False)
    (failed,) = result.filter_events(lambda event: event.is_step_failure)
    shown = failed.step_failure_data.user_failure_data
    assert failed.step_key == "first" and not made
    assert shown.description.startswith(line) and "\n" not in shown.description
    assert shown.metadata["exit_code"].value == 2
    with pytest.raises(ConfigurationError) as refused:
        check_run(run_config)
    assert str(refused.value) == shown.description


def test_every_field_is_described():
    assert schema_of("thing", Outer).fields["kind"].description == "Which one."
    assert schema_of("thing", Outer).fields["num_steps"].description == "How many steps. (at least 1)"
    assert schema_of("thing", Outer, num_steps=9).fields["num_steps"].default_value == 9

    @dataclass(frozen=True, kw_only=True)
    class Silent:
        number: int = 1

    with pytest.raises(TypeError, match=r"Silent\.number: has no description"):
        schema_of("silent", Silent)
