import itertools
import math

import pytest

from lm.accounting import count_parameters, training_flops_per_token
from lm.errors import ConfigurationError
from lm.model import preset
from lm.scaling.config import PlanConfig
from lm.scaling.hyperparameters import suggested
from lm.scaling.law import AS_PUBLISHED, CHINCHILLA
from lm.scaling.plan import plan, planned, published_range, twenty_to_one
from lm.scaling.planned_training import PlannedTraining, follow_plan, training_of
from lm.scaling.shapes import shapes_near
from lm.scaling.training_plan import budget_row
from lm.training.config import PretrainConfig

BUDGETS = [10.0**exponent for exponent in range(13, 28, 4)]


def test_the_published_range_is_that_of_both_fits_below_a_uniform_guess():
    found = plan(1e20, vocab_size=32_000, context_length=2_048)
    low, high = published_range(found)
    assert low < high and min(abs(found.expected_loss - loss) for loss in (low, high)) < 1e-9
    assert AS_PUBLISHED.loss(found.num_parameters, found.num_tokens) in (low, high)
    assert published_range(plan(1e13, vocab_size=512, context_length=64)) is None


def test_a_plan_spends_its_budget_near_twenty_tokens_a_weight():
    found = plan(1e20, vocab_size=32_000, context_length=2_048)
    assert found.num_tokens * training_flops_per_token(found.config) == pytest.approx(1e20, rel=0.01)
    assert 10 < found.tokens_per_parameter < 40
    larger = plan(1e21, vocab_size=32_000, context_length=2_048)
    assert larger.num_parameters > 2 * found.num_parameters and larger.expected_loss < found.expected_loss


@pytest.mark.parametrize("flops", [1e17, 1e19, 1e21, 1e23, 1e25, 1e27])
def test_shapes_grow_without_end_along_the_closed_form(flops):
    found = plan(flops, vocab_size=32_000, context_length=1_024)
    assert found.num_parameters == pytest.approx(CHINCHILLA.optimal(flops)[0], rel=0.15)
    assert found.flops == pytest.approx(flops, rel=1e-6)
    ratio = found.config.d_model / found.config.num_layers
    assert 32 <= ratio <= 180


@pytest.mark.parametrize("unique", [590_000, 10**8, math.inf])
def test_the_loss_falls_with_the_budget_and_never_lies_above_a_uniform_guess(unique):
    found = [plan(flops, vocab_size=4_096, context_length=1_024, unique_tokens=unique) for flops in BUDGETS]
    losses = [each.expected_loss for each in found]
    assert max(losses) <= math.log(4_096)
    assert all(later <= earlier * 1.002 for earlier, later in itertools.pairwise(losses))
    for each, flops in zip(found, BUDGETS, strict=True):
        assert each.flops <= flops * 1.000001 and each.num_tokens <= 16 * unique


@pytest.mark.parametrize("flops", [1e17, 1e21, 1e25])
def test_scarce_text_asks_for_a_small_model_and_few_epochs(flops):
    found = plan(flops, vocab_size=4_096, context_length=1_024, unique_tokens=590_000)
    assert found.num_parameters < 5e6 and found.num_tokens <= 16 * 590_000
    assert any("of the budget" in note for note in found.notes)
    assert any("outside the fitted range" in note for note in found.notes)
    assert any("a uniform guess" in note for note in found.notes)


def test_inside_of_the_fitted_range_nothing_is_flagged():
    assert plan(1e19, vocab_size=32_000, context_length=1_024).notes == ()


def test_too_small_a_budget_is_refused():
    with pytest.raises(ConfigurationError, match="flops: 1e\\+03"):
        plan(1e3, vocab_size=100, context_length=64)
    assert planned(preset("gpt2_124m"), 1e6) is None


def test_shapes_lie_around_the_number_asked_for():
    for wanted in (1e6, 1e9, 1e13):
        sizes = [count_parameters(c).total for c in shapes_near(wanted, vocab_size=4_096, context_length=128)]
        assert sizes and min(sizes) >= wanted / 4 and max(sizes) <= wanted * 4
    smallest = list(shapes_near(1.0, vocab_size=4_096, context_length=128))
    assert len(smallest) == 1 and smallest[0].d_model == 64


def test_twenty_to_one():
    parameters, tokens = twenty_to_one(1.2e21)
    assert tokens == pytest.approx(20 * parameters) and 6 * parameters * tokens == pytest.approx(1.2e21)


def test_learning_rate_and_batch_follow_compute():
    small, large = suggested(1e17, 1_024, 1e10), suggested(1e19, 1_024, 1e10)
    assert small.learning_rate > large.learning_rate and small.batch_tokens < large.batch_tokens
    assert not small.extrapolated and suggested(1e13, 1_024, 1e6).extrapolated
    assert suggested(1e13, 1_024, 1e5).batch_tokens == 1_024


def test_a_training_follows_a_row_of_the_plan():
    config = PlanConfig(budgets_flops=(1e3, 1e15), context_length=256)
    rows = [budget_row(flops, 4_096, 10**7, config) for flops in config.budgets_flops]
    training = follow_plan(PretrainConfig(num_tokens=1), {"budgets": rows}, 1e15)
    shape = training.model_config(4_096)
    assert count_parameters(shape).total == rows[1]["parameters"] and training.num_tokens == rows[1]["num_tokens"]
    with pytest.raises(ConfigurationError, match=r"plan_flops: 1e\+10, expected a budget of training_plan: 1000, 1e"):
        follow_plan(training, {"budgets": rows}, 1e10)
    asked = PlannedTraining(num_tokens=1, plan=True, plan_flops=1e15)
    assert training_of(asked, {"budgets": rows}) == training
    assert training_of(PlannedTraining(num_tokens=7), None) == PretrainConfig(num_tokens=7)
    with pytest.raises(ConfigurationError, match="training_plan has not been materialized"):
        training_of(asked, None)
    with pytest.raises(ConfigurationError, match="plan_flops: flops: 1e"):
        follow_plan(training, {"budgets": rows}, 1e3)
