import numpy as np
import pytest
from scipy import stats

from lm.errors import InputError
from lm.scaling.frontier import fit_frontier
from lm.scaling.points import Points


def parabolas(budgets, exponent=-0.07, deviation=0.0, seed=0):
    """Losses over five sizes a budget, the lowest of each at L* = 10 C^exponent and N* ∝ C^.5."""
    generator = np.random.default_rng(seed)
    flops = np.repeat(budgets, 5)
    away = np.tile(np.linspace(-1, 1, 5), len(budgets))
    parameters = np.sqrt(flops) * np.exp(away)
    noise = np.repeat(np.exp(deviation * generator.standard_normal(len(budgets))), 5)
    return Points(parameters, flops / 6 / parameters, flops, 10 * flops**exponent * (1 + 0.1 * away**2) * noise)


def test_the_lowest_losses_follow_a_power_law():
    fit = fit_frontier(parabolas([1e11, 2e11, 4e11, 8e11]))
    assert (fit.loss.coefficient, fit.loss.exponent) == pytest.approx((10, -0.07))
    assert fit.parameters.exponent == pytest.approx(0.5)
    assert fit.largest_left_out == pytest.approx(0, abs=1e-9)
    bounds = fit.interval(3.2e12)
    assert bounds.low == pytest.approx(bounds.high) == pytest.approx(fit.loss.at(3.2e12))


def test_the_interval_holds_its_share_of_runs():
    """Of a run at four times the largest budget, whose own noise counts."""
    hits = 0
    for seed in range(400):
        points = parabolas([1e11, 2e11, 4e11, 8e11, 3.2e12], deviation=0.01, seed=seed)
        bounds = fit_frontier(points.take(points.flops < 1e12)).interval(3.2e12)
        hits += points.loss[points.flops > 1e12].min() in bounds
    assert 0.91 < hits / 400 < 0.98


def test_the_interval_is_that_of_least_squares():
    """ŷ ± t · s · √(1 + x₀ᵀ (XᵀX)⁻¹ x₀), in logarithms."""
    fit = fit_frontier(parabolas([1e11, 2e11, 4e11, 8e11, 1.6e12], deviation=0.02, seed=3))
    x, y = np.log(np.array(fit.points)).T
    design, new = np.stack([np.ones_like(x), x], axis=1), np.array([1.0, np.log(6.4e12)])
    solution, squares, *_ = np.linalg.lstsq(design, y)
    variance = squares[0] / (len(x) - 2) * (1 + new @ np.linalg.inv(design.T @ design) @ new)
    half = stats.t.ppf(0.975, len(x) - 2) * np.sqrt(variance)
    bounds = fit.interval(6.4e12)
    assert np.log([bounds.low, bounds.high]) == pytest.approx([new @ solution - half, new @ solution + half])


def test_the_largest_budget_is_predicted_from_the_others():
    points = parabolas([1e11, 2e11, 4e11])
    assert fit_frontier(points).largest_left_out == pytest.approx(0, abs=1e-9)
    moved = Points(
        points.parameters, points.tokens, points.flops, points.loss * np.where(points.flops > 3e11, 0.9, 1.0)
    )
    assert fit_frontier(moved).largest_left_out == pytest.approx(1 / 0.9 - 1)


def test_two_budgets_are_too_few():
    with pytest.raises(InputError, match="frontier: 2 budgets with three sizes, expected at least 3"):
        fit_frontier(parabolas([1e11, 2e11]))
