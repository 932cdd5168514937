import numpy as np
import pytest
from scipy.optimize import check_grad

from lm.errors import InputError
from lm.scaling.law import CHINCHILLA, LossLaw
from lm.scaling.parametric import HUBER, _Objective, fit_parametric, leave_largest_out, lowest_left_out
from lm.scaling.points import Points
from tests.lm.scaling.laws import planted


def test_exact_points_give_the_law_back():
    law = LossLaw(2.69, 1_606.4, 3_210.7, 0.34, 0.36)
    fit = fit_parametric(planted(law=law, deviation=0.0, num_points=72, budgets=9), num_draws=0)
    found = (fit.law.e, fit.law.a, fit.law.b, fit.law.alpha, fit.law.beta)
    assert found == pytest.approx((law.e, law.a, law.b, law.alpha, law.beta), rel=1e-3)


def test_the_objective_is_hubers_of_the_formula():
    points = planted(num_points=24)
    objective, theta = _Objective(points), np.array([0.5, -1.0, -0.5, 0.3, 0.4])
    e, a, b, alpha, beta = objective.constants(theta)
    residuals = np.log(e + a / points.parameters**alpha + b / points.tokens**beta) - np.log(points.loss)
    small = np.abs(residuals) <= HUBER
    expected = np.where(small, residuals**2 / 2, HUBER * (np.abs(residuals) - HUBER / 2)).sum()
    value, _ = objective.value_and_gradient(theta, np.log(points.loss))
    assert value * HUBER**2 == pytest.approx(expected)


def test_the_gradient_is_the_objectives():
    points = planted(num_points=24, deviation=0.0003)
    objective, losses = _Objective(points), np.log(points.loss)
    theta = np.array([0.59, -1.1, -0.9, 0.35, 0.37])
    error = check_grad(
        lambda t: objective.value_and_gradient(t, losses)[0],
        lambda t: objective.value_and_gradient(t, losses)[1],
        theta,
    )
    assert error < 1e-3 * np.linalg.norm(objective.value_and_gradient(theta, losses)[1])


def test_noise_is_in_the_intervals_and_repeats_by_seed():
    points = planted(deviation=0.005)
    first, again = (fit_parametric(points, num_draws=60, seed=3) for _ in range(2))
    assert (first.draws == again.draws).all() and first.law == again.law
    assert CHINCHILLA.alpha in first.intervals["alpha"] and CHINCHILLA.exponents[0] in first.intervals["a"]
    assert first.loss_interval(1e9, 2e10).low < CHINCHILLA.loss(1e9, 2e10) < first.loss_interval(1e9, 2e10).high
    parameters, _ = first.optimum_interval(1e21)
    assert parameters.low < first.law.optimal(1e21)[0] < parameters.high
    assert first.deviation == pytest.approx(0.005, rel=0.2)


def test_the_largest_budget_is_predicted_from_the_others():
    assert abs(leave_largest_out(planted(deviation=0.002))) < 0.01


def test_the_lowest_loss_of_the_largest_budget_is_predicted_from_the_others():
    points = planted(deviation=0.0)
    assert abs(lowest_left_out(points)) < 1e-4
    largest = points.flops > 0.9 * points.flops.max()
    lower = Points(points.parameters, points.tokens, points.flops, points.loss * np.where(largest, 0.9, 1.0))
    assert lowest_left_out(lower) == pytest.approx(1 / 0.9 - 1, abs=1e-3)


def test_too_few_points_are_refused():
    two = planted(num_points=2, budgets=2)
    with pytest.raises(InputError, match="parametric law: 2 points, expected at least 6"):
        fit_parametric(two)
    many = planted(num_points=24)
    same = Points(np.full(24, 1e8), many.tokens, many.flops, many.loss)
    with pytest.raises(InputError, match="all points have equal sizes"):
        fit_parametric(same)
