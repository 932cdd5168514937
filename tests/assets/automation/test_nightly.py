"""The nightly evaluation: off, and what each tick does."""

import dagster as dg
import pytest

from assets.automation import nightly
from assets.support.resources import LoamHome
from tests.assets.automation.test_retraining import publish


@pytest.fixture
def home(tmp_path):
    return LoamHome(path=str(tmp_path / "home"))


def tick(instance, home):
    with dg.build_schedule_context(instance=instance) as context:
        return nightly.nightly_evaluation(context, home=home)


def test_the_schedule_is_off():
    assert nightly.nightly_evaluation.default_status == dg.DefaultScheduleStatus.STOPPED


def test_it_evaluates_changed_models_alone(empty_instance, home):
    assert "models are missing" in tick(empty_instance, home).skip_message
    made = {name: publish(home, name, seed=0).digest for name in nightly.MODELS}
    assert tick(empty_instance, home).tags["loam/changed"] == ", ".join(nightly.MODELS)
    publish(home, "evaluation_report", inputs=made)
    assert "the evaluation report is up to date" in tick(empty_instance, home).skip_message
    publish(home, "grpo_model", seed=1)
    assert tick(empty_instance, home).tags["loam/changed"] == "grpo_model"
