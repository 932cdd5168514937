"""Points drawn from a known law."""

import numpy as np

from lm.scaling.law import CHINCHILLA
from lm.scaling.points import Points


def planted(seed=0, *, num_points=240, deviation=0.005, law=CHINCHILLA, budgets=12):
    """IsoFLOP points of `law`, their log losses moved by normal noise."""
    generator = np.random.default_rng(seed)
    flops = np.repeat(np.logspace(18, 21.5, budgets), num_points // budgets)
    optimum = np.array([law.optimal(each)[0] for each in flops])
    parameters = optimum * np.exp(generator.uniform(-1.6, 1.6, len(flops)))
    tokens = flops / 6 / parameters
    losses = np.array([law.loss(n, d) for n, d in zip(parameters, tokens, strict=True)])
    return Points(parameters, tokens, flops, losses * np.exp(deviation * generator.standard_normal(len(flops))))
