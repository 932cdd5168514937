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


@pytest.mark.parametrize("vocab", [1, 5, 63, 64, 65, 1000, 4096])
def test_inversion_in_two_levels_is_that_of_the_whole_sum(vocab):
    draw = torch.Generator().manual_seed(vocab)
    # Multiples of 1/1024, whose sums are exact in float32 too, many of them 0.
    probs = torch.randint(-3, 4, (400, vocab), generator=draw).clamp_min(0) / 1024
    probs[:, -1] += 1 / 1024
    uniforms = torch.rand(400, generator=draw, dtype=torch.float64)
    uniforms[:4] = torch.tensor([0.0, 1.0 - 2**-53, 0.5, 0.25], dtype=torch.float64)
    cdf = probs.double().cumsum(-1)
    wanted = torch.minimum(uniforms * cdf[:, -1], torch.nextafter(cdf[:, -1], torch.zeros(400, dtype=torch.float64)))
    expected = torch.searchsorted(cdf, wanted[:, None], right=True).squeeze(-1)
    assert torch.equal(invert_cdf(probs, uniforms), expected)
    assert (probs.gather(-1, expected[:, None]) > 0).all()


def test_inversion_of_rounded_sums_never_leaves_what_has_a_probability():
    draw = torch.Generator().manual_seed(0)
    probs = torch.softmax(20 * torch.randn(2_000, 300, generator=draw), dim=-1)
    probs[probs < 1e-6] = 0.0
    edges = probs.double().cumsum(-1) / probs.double().sum(-1, keepdim=True)
    for column in (0, 63, 64, 127, 299):  # uniform numbers at the edges of tokens and blocks
        for near in (edges[:, column].clamp(0, 1 - 2**-53), (edges[:, column] - 2**-53).clamp(0, 1 - 2**-53)):
            found = invert_cdf(probs, near)
            assert (probs.gather(-1, found[:, None]) > 0).all()


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
