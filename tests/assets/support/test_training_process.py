"""Requests to a training process: functions by name, paths as paths, settings as their dataclass."""

import importlib
import inspect
from dataclasses import is_dataclass
from pathlib import Path

import pytest

from assets.support import training_process
from assets.support.training_process import FUNCTIONS, call, load
from lm.alignment.config import ReportConfig
from lm.errors import ConfigurationError, InputError


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_there_and_takes_a_configuration(name):
    function, config = load(name)
    assert is_dataclass(config)
    assert {"config", "report"} <= set(inspect.signature(function).parameters)
    module, attribute = FUNCTIONS[name].split(":")
    assert getattr(importlib.import_module(module), attribute) is function


@pytest.mark.parametrize("name", ["os:system", "lm.training.pretrain:pretrain", ""])
def test_nothing_else_can_be_named(name):
    with pytest.raises(InputError, match="expected one of ablation, budget, control, dpo"):
        load(name)


@pytest.fixture
def asked(monkeypatch):
    """What the function `evaluate` was called with."""
    calls = []

    def function(config, report, **rest):
        calls.append((config, report, rest))

    monkeypatch.setattr(training_process, "load", lambda name: (function, ReportConfig))
    return calls


def test_strings_come_as_paths_also_within_mappings(asked):
    paths = {"output": "/x/y", "models": {"sft": "/x/sft"}}
    call("evaluate", {"num_problems": 4}, paths, print, {"question": "ffn"})
    ((config, report, rest),) = asked
    assert config == ReportConfig(num_problems=4) and report is print
    assert rest == {"output": Path("/x/y"), "models": {"sft": Path("/x/sft")}, "question": "ffn"}


def test_a_setting_that_is_none_is_refused(asked):
    with pytest.raises(ConfigurationError, match="num_problem"):
        call("evaluate", {"num_problem": 4}, {}, print)
    assert asked == []


def test_an_event_is_a_line_of_the_log():
    assert training_process._sentence({"step": 3, "loss": 2.123456789, "note": "x"}) == "step 3  loss 2.123  note x"


def test_the_log_has_at_most_one_step_a_second_and_every_other_event(monkeypatch):
    clock, said = iter([0.0, 0.4, 0.5, 0.9, 1.1, 1.2, 1.3]), []
    monkeypatch.setattr(training_process.time, "monotonic", lambda: next(clock))
    say = training_process._sparing(said.append)
    events = [
        {"step": 1, "loss": 3.0}, {"step": 2, "loss": 3.0}, {"step": 2, "validation_loss": 3.0},
        {"note": "a"}, {"step": 3, "loss": 3.0}, {"note": "b"}, {"step": 4, "loss": 3.0},
    ]  # fmt: skip
    for event in events:
        say(event)
    assert said == [events[place] for place in (0, 2, 3, 4, 5)]
