"""NEFTune's noise: its size, its seed, and that nothing is left of it."""

import math

import torch

from lm.alignment.neftune import noisy_embeddings
from lm.model import TransformerLM, preset


def embedded(model, ids, alpha=0.0, seed=0):
    with noisy_embeddings(model, alpha, seed):
        return model.token_embeddings(ids)


def test_noise_is_uniform_of_the_papers_size_and_follows_its_seed():
    model, ids = TransformerLM(preset("test")), torch.zeros(4, 50, dtype=torch.long)
    plain = model.token_embeddings(ids)
    noise = embedded(model, ids, alpha=5.0) - plain
    most = 5.0 / math.sqrt(50 * model.config.d_model)
    assert noise.abs().max() <= most * 1.0001 and noise.abs().max() > 0.95 * most
    assert abs(noise.std() / most - 3**-0.5) < 0.02
    assert torch.equal(noise, embedded(model, ids, alpha=5.0) - plain)
    assert not torch.equal(noise, embedded(model, ids, alpha=5.0, seed=1) - plain)
    assert torch.equal(embedded(model, ids), plain) and torch.equal(model.token_embeddings(ids), plain)
