import numpy as np
import pytest

from lm.errors import InputError
from lm.scaling.curves import fit_curves, leave_largest_out
from lm.scaling.law import CHINCHILLA
from lm.scaling.points import Points


def curves_of(sizes, tokens):
    parameters, read = (grid.flatten() for grid in np.meshgrid(sizes, tokens, indexing="ij"))
    losses = np.array([CHINCHILLA.loss(n, d) for n, d in zip(parameters, read, strict=True)])
    return Points(parameters, read, 6 * parameters * read, losses)


def test_the_envelope_of_exact_curves_follows_the_law():
    points = curves_of(np.geomspace(1e7, 1e11, 60), np.geomspace(1e8, 1e13, 60))
    fit = fit_curves(points, num_draws=20)
    assert abs(leave_largest_out(points)) < 0.2
    a, b = CHINCHILLA.exponents
    assert fit.parameters.exponent == pytest.approx(a, abs=0.03) and fit.tokens.exponent == pytest.approx(b, abs=0.03)
    assert fit.parameters.at(1e20) == pytest.approx(CHINCHILLA.optimal(1e20)[0], rel=0.15)
    assert fit.a.low < fit.parameters.exponent < fit.a.high and fit.a.high - fit.a.low < 0.1
    assert fit.b.low < fit.tokens.exponent < fit.b.high
    losses = [each.loss for each in fit.minima]
    assert losses == sorted(losses, reverse=True)


def test_curves_that_cannot_be_compared_are_refused():
    with pytest.raises(InputError, match="1 sizes with several points, expected at least 3"):
        fit_curves(curves_of([1e8], [1e9, 1e10]))
    apart = [curves_of([size], [100 * size, 200 * size]) for size in (1e8, 1e9, 1e10)]
    joined = Points(*(np.concatenate([getattr(each, name) for each in apart]) for name in Points.__slots__[:4]))
    with pytest.raises(InputError, match="no FLOPs range that three curves share"):
        fit_curves(joined)
