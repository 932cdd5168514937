"""A training that follows the plan: its settings, and the predicted beside the measured loss."""

import json

import pytest

from assets.graph.scaling import PLAN, against_plan, planned
from assets.support.resources import LoamHome
from lm import storage
from lm.errors import ConfigurationError, InputError
from lm.scaling.config import PlanConfig
from lm.scaling.planned_training import PlannedTraining
from lm.scaling.training_plan import budget_row


@pytest.fixture
def home(tmp_path):
    return LoamHome(path=str(tmp_path))


def publish(home, name, files, **summary):
    with storage.publish(home.target(name), kind=name, config={}, inputs={}, code="") as publication:
        for file, content in files.items():
            (publication.path / file).write_text(content)
        publication.summary.update(summary)
    return publication.artifact


def test_a_planned_training_shows_its_predicted_loss(home):
    row = budget_row(1e15, 4_096, 10**7, PlanConfig(context_length=256))
    publish(home, "training_plan", {PLAN: json.dumps({"budgets": [row], "presets": []})})
    training, followed = planned(PlannedTraining(num_tokens=1, plan=True, plan_flops=1e15), home)
    assert followed == row and training.num_tokens == row["num_tokens"]
    assert training.learning_rate == row["learning_rate"] and training.model["d_model"] == row["model"]["d_model"]
    model = publish(home, "pretrained_model", {"x": "x"}, validation_loss=row["expected_loss"] / 1.25)
    shown = against_plan(model, followed)
    assert shown["predicted_loss"].value == row["expected_loss"]
    assert shown["loss_by_fits"].value
    assert shown["prediction_error"].value == pytest.approx(0.25)
    assert against_plan(model, None) == {}


def test_without_a_plan_the_training_is_as_configured(home):
    training, followed = planned(PlannedTraining(num_tokens=7), home)
    assert followed is None and training.num_tokens == 7
    with pytest.raises(InputError, match="training_plan"):
        planned(PlannedTraining(num_tokens=7, plan=True), home)
    publish(home, "training_plan", {PLAN: json.dumps({"budgets": [], "presets": []})})
    with pytest.raises(ConfigurationError, match="plan_flops: 1e"):
        planned(PlannedTraining(num_tokens=7, plan=True), home)
