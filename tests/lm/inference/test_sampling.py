"""Sampling draws from the distribution it says it draws from."""

import pytest
import torch

from lm.inference.sampling import invert_cdf, restrict, sample


def test_greedy_takes_the_largest_logit_and_the_first_of_equals():
    logits = torch.tensor([[0.0, 3.0, 3.0], [5.0, -1.0, 2.0]])
    token_ids, log_probs = sample(logits, torch.tensor([0.9, 0.9]), temperature=0.0)
    assert token_ids.tolist() == [1, 0]
    torch.testing.assert_close(log_probs, logits.log_softmax(-1)[[0, 1], [1, 0]])


def test_frequencies_follow_the_tempered_softmax():
    logits = torch.tensor([1.0, 0.0, -1.0, 2.0])
    num_draws = 200_000
    uniforms = torch.rand(num_draws, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    token_ids, log_probs = sample(logits.expand(num_draws, 4), uniforms, temperature=0.7)
    wanted = torch.softmax(logits / 0.7, dim=-1)
    torch.testing.assert_close(token_ids.bincount(minlength=4) / num_draws, wanted, atol=5e-3, rtol=0)
    torch.testing.assert_close(log_probs, wanted.log()[token_ids])


def test_top_k_keeps_k_and_their_log_probs_are_renormalized():
    logits = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
    uniforms = torch.linspace(0, 0.999, 50, dtype=torch.float64)
    token_ids, log_probs = sample(logits.expand(50, 4), uniforms, top_k=2)
    assert set(token_ids.tolist()) == {1, 2}
    wanted = torch.softmax(torch.tensor([4.0, 3.0]), dim=-1)
    assert set(log_probs.exp().round(decimals=5).tolist()) == set(wanted.round(decimals=5).tolist())


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.01, {0}), (0.5, {0}), (0.51, {0, 1}), (0.79, {0, 1}), (0.92, {0, 1, 2}), (1.0, {0, 1, 2, 3})]
)
def test_nucleus_is_the_fewest_tokens_that_reach_top_p(top_p, kept):
    logits = torch.tensor([[0.5, 0.3, 0.125, 0.075]]).log()
    finite = torch.isfinite(restrict(logits, top_p=top_p))[0]
    assert set(finite.nonzero().flatten().tolist()) == kept


def test_inversion_never_draws_what_has_probability_zero():
    probs = torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0]]).expand(4, 5)
    uniforms = torch.tensor([0.0, 0.2499999, 0.25, 1.0 - 2**-53], dtype=torch.float64)
    assert invert_cdf(probs, uniforms).tolist() == [1, 1, 3, 3]


@pytest.mark.parametrize("temperature", [1e-6, 1e-38, 1e-39, 1e-45, 5e-324])
@pytest.mark.parametrize("restriction", [{}, {"top_k": 2}, {"top_p": 0.5}])
def test_a_tiny_temperature_is_greedy(temperature, restriction):
    logits = torch.tensor([[1.0, 2.0, 3.0, -2.0], [3e38, 0.0, -3e38, 1.0]])
    ids, log_probs = sample(logits, torch.tensor([0.5, 0.999]), temperature=temperature, **restriction)
    assert ids.tolist() == [2, 0] and log_probs.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("temperature", [1e30, 1.7e308])
def test_a_huge_temperature_is_uniform(temperature):
    ids, log_probs = sample(torch.tensor([[1.0, 2.0, 3.0, -2.0]]), torch.tensor([0.6]), temperature=temperature)
    assert ids.tolist() == [2] and log_probs.item() == pytest.approx(-1.386, abs=1e-3)
