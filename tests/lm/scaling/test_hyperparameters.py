import numpy as np
import pytest

from lm.errors import InputError
from lm.scaling.hyperparameters import fit_best, settings_in


def trainings(exponent=-0.1, deviation=0.0, budgets=(1e15, 1e16, 1e17), seed=0):
    """(FLOPs, rates, losses) with the best rate at 2 C^exponent; of each rate also a worse size."""
    flops = np.repeat(budgets, 18)
    best = 2.0 * flops**exponent
    rates = best * np.tile(np.repeat(np.geomspace(0.25, 4, 9), 2), len(budgets))
    losses = 3 + np.log(rates / best) ** 2 + np.tile([0.0, 0.5], len(flops) // 2)
    return flops, rates, losses + deviation * np.random.default_rng(seed).standard_normal(len(flops))


def test_the_best_value_against_compute_is_found():
    fit = fit_best(*trainings(), num_draws=0)
    assert (fit.law.coefficient, fit.law.exponent) == pytest.approx((2.0, -0.1), rel=1e-6)
    assert fit.largest_left_out == pytest.approx(0, abs=1e-6) and np.isnan(fit.exponent.low)
    assert fit_best(*trainings(budgets=(1e15, 1e16)), num_draws=0).largest_left_out is None


def test_budgets_that_differ_by_whole_steps_are_one():
    flops, rates, losses = trainings()
    rounded = flops * np.tile([1.0, 1.004], len(flops) // 2)
    assert fit_best(rounded, rates, losses, num_draws=0).law.exponent == pytest.approx(-0.1, rel=1e-6)


def test_noise_is_in_the_interval_and_repeats_by_seed():
    hits = 0
    for seed in range(20):
        points = trainings(deviation=0.1, seed=seed)
        fit = fit_best(*points, num_draws=100)
        assert fit == fit_best(*points, num_draws=100)
        hits += -0.1 in fit.exponent
    assert hits >= 15 and fit.exponent.high - fit.exponent.low < 0.2


def test_losses_that_do_not_turn_are_refused():
    flops, rates, _ = trainings()
    with pytest.raises(InputError, match="batch tokens: 0 budgets with a loss minimum between their values"):
        fit_best(flops, rates, 3 + np.log(rates), "batch tokens")


def test_settings_are_columns_by_name():
    rows = [{"LR": "0.1", "loss": "3"}, {"LR": "0.2", "loss": "3"}]
    assert settings_in(rows)["learning_rate"] == pytest.approx([0.1, 0.2]) and settings_in([]) == {}
    with pytest.raises(InputError, match="few: row 2: LR: '-1', expected a finite number above 0"):
        settings_in([rows[0], {"LR": "-1"}], "few")
