import numpy as np
import pytest

from lm.errors import InputError
from lm.scaling.bootstrap import interval
from lm.scaling.isoflop import fit_isoflop, leave_largest_out
from lm.scaling.law import CHINCHILLA
from lm.scaling.points import Points, read_points
from lm.scaling.power_law import PowerLaw, fit_power_law
from tests.lm.scaling.laws import planted


@pytest.fixture
def curves(shared_data):
    return read_points(shared_data("scaling/isoflops_curves.json"))


def test_known_answer_lowest_runs(curves):
    fit = fit_isoflop(curves, "lowest", num_draws=50)
    assert len(curves) == 72 and len(fit.minima) == 9
    assert fit.parameters.exponent == pytest.approx(0.4687, abs=5e-5)
    assert fit.parameters.at(1e23) == pytest.approx(7.005e10, rel=5e-4)
    assert fit.parameters.at(1e24) == pytest.approx(2.061e11, rel=5e-4)
    assert fit.tokens.at(1e23) == pytest.approx(2.379e11, rel=5e-4)


def test_known_answer_vertices_of_parabolas(curves):
    fit = fit_isoflop(curves, "quadratic", num_draws=50)
    assert fit.parameters.exponent == pytest.approx(0.5146, abs=5e-5)
    assert fit.parameters.at(1e24) == pytest.approx(2.981e11, rel=5e-4)
    assert not fit.skipped and abs(leave_largest_out(curves, "quadratic")) < 0.01


@pytest.mark.parametrize(("method", "tolerance"), [("quadratic", 0.03), ("lowest", 0.08)])
def test_planted_exponents_are_found(method, tolerance):
    a, b = CHINCHILLA.exponents
    points = planted(num_points=480, deviation=0.001)
    fit = fit_isoflop(points, method, num_draws=100)
    assert fit.parameters.exponent == pytest.approx(a, abs=tolerance)
    assert fit.parameters.exponent + fit.tokens.exponent == pytest.approx(1, abs=1e-6)
    assert fit.a.low < fit.parameters.exponent < fit.a.high and abs(b - fit.tokens.exponent) < tolerance


def test_the_bootstrap_repeats_by_seed():
    points = planted()
    first, again, other = (fit_isoflop(points, "quadratic", num_draws=20, seed=seed) for seed in (1, 1, 2))
    assert first == again and first.a != other.a


def test_budgets_without_a_minimum_are_named():
    flops = np.repeat([1e18, 1e19, 1e20], 3)
    parameters = np.tile([1e7, 2e7, 4e7], 3) * np.repeat([1, 3, 9], 3)
    losses = np.array([3.1, 3.0, 3.1, 2.8, 2.7, 2.8, 2.5, 2.4, 2.3])  # the last budget falls to its end
    points = Points(parameters, flops / 6 / parameters, flops, losses)
    fit = fit_isoflop(points, "quadratic", num_draws=0)
    assert fit.skipped == (1e20,) and len(fit.minima) == 2
    assert fit.parameters.exponent == pytest.approx(np.log(3) / np.log(10))


def test_too_few_budgets_are_refused():
    one = planted(num_points=5, budgets=1)
    with pytest.raises(InputError, match="expected at least 2"):
        fit_isoflop(one, "lowest")
    with pytest.raises(InputError, match="expected at least 3"):
        leave_largest_out(planted(num_points=10, budgets=2), "lowest")


def test_power_laws_are_exact_on_exact_points():
    x = np.array([1.0, 10.0, 100.0])
    found = fit_power_law(x, 3 * x**0.5)
    assert (found.coefficient, found.exponent) == pytest.approx((3.0, 0.5))
    assert PowerLaw(3.0, 0.5).at(4.0) == 6.0


def test_the_interval_is_the_central_95_percent():
    found = interval(np.append(np.linspace(0, 1, 1_001), np.nan))
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))
    assert 0.5 in found and 0.99 not in found
