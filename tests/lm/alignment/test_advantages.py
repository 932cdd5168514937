"""Advantages against their formulas and by hand."""

import pytest
import torch

from lm.alignment import generalized_advantages, group_advantages, whitened
from lm.alignment.advantages import have_equal_rewards
from lm.errors import ConfigurationError

REWARDS = torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.5, 0.0, 0.0, 0.0]], dtype=torch.float64)


def plain(rewards, baseline, normalizer):
    """One response after the other, in Python floats."""
    found = []
    for i, reward in enumerate(rewards):
        others = rewards[:i] + rewards[i + 1 :]
        mean = sum(rewards) / len(rewards)
        std = (sum((each - mean) ** 2 for each in rewards) / (len(rewards) - 1)) ** 0.5
        subtracted = {"mean": mean, "leave_one_out": sum(others) / len(others), "none": 0.0}[baseline]
        divisor = {"std": std + 1e-6, "mean": mean + 1e-6, "none": 1.0}[normalizer]
        found.append((reward - subtracted) / divisor)
    return found


@pytest.mark.parametrize("baseline", ["mean", "leave_one_out", "none"])
@pytest.mark.parametrize("normalizer", ["std", "mean", "none"])
def test_every_variant_is_its_formula(baseline, normalizer):
    found = group_advantages(REWARDS, baseline, normalizer)
    for row in (0, 2):
        assert found[row].tolist() == pytest.approx(plain(REWARDS[row].tolist(), baseline, normalizer))


def test_grpo_by_hand():
    # mean ½, unbiased variance (4 · ¼) / 3 = ⅓
    found = group_advantages(REWARDS[:1])
    assert found[0].tolist() == pytest.approx([0.5 * 3**0.5, -0.5 * 3**0.5, -0.5 * 3**0.5, 0.5 * 3**0.5], rel=1e-5)


@pytest.mark.parametrize("reward", [0.1, 0.3, 0.7, 1 / 3, 1.0])
@pytest.mark.parametrize("group", [2, 3, 8, 17])
@pytest.mark.parametrize(
    ("baseline", "normalizer"), [("mean", "std"), ("mean", "none"), ("leave_one_out", "none"), ("none", "std")]
)
def test_equal_rewards_teach_exactly_nothing(reward, group, baseline, normalizer):
    rewards = torch.full((3, group), reward)
    rewards[2, 0] = 0.0
    advantages = group_advantages(rewards, baseline, normalizer)
    assert not advantages[:2].any() and advantages[2].any()
    assert have_equal_rewards(rewards).tolist() == [True, True, False]


def test_without_a_baseline_equal_rewards_still_teach():
    assert group_advantages(REWARDS, "none", "none").equal(REWARDS)


@pytest.mark.parametrize(("baseline", "normalizer"), [("median", "std"), ("mean", "max")])
def test_unknown_variants_are_refused(baseline, normalizer):
    with pytest.raises(ConfigurationError, match="expected mean, leave_one_out or none"):
        group_advantages(REWARDS, baseline, normalizer)


def test_a_single_response_has_no_baseline():
    with pytest.raises(ConfigurationError, match="expected at least 2"):
        group_advantages(REWARDS[:, :1])


def test_generalized_advantages_by_hand():
    rewards = torch.tensor([[1.0, 0.0, 2.0, 9.0]])
    values = torch.tensor([[0.5, 1.0, 1.5, 9.0]])
    mask = torch.tensor([[True, True, True, False]])
    advantages, returns = generalized_advantages(rewards, values, mask, discount=0.5, decay=0.5)
    # δ₂ = 2 − 1.5 = 0.5; δ₁ = 0.75 − 1 = −0.25; δ₀ = 1 + 0.5 − 0.5 = 1; A₁ = −0.25 + ¼·0.5; A₀ = 1 + ¼·A₁
    torch.testing.assert_close(advantages, torch.tensor([[1 - 0.125 / 4, -0.125, 0.5, 0.0]]))
    torch.testing.assert_close(returns, ((advantages + values) * mask))


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_decay_1_gives_the_discounted_return_and_0_the_temporal_difference(discount):
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.rand(3, 5, generator=generator), torch.rand(3, 5, generator=generator)
    mask = torch.arange(5) < torch.tensor([[5], [2], [3]])
    _, returns = generalized_advantages(rewards, values, mask, discount=discount, decay=1.0)
    advantages, _ = generalized_advantages(rewards, values, mask, discount=discount, decay=0.0)
    for row, length in enumerate((5, 2, 3)):
        for step in range(length):
            later = sum(discount ** (t - step) * rewards[row, t] for t in range(step, length))
            after = values[row, step + 1] if step + 1 < length else 0.0
            assert returns[row, step] == pytest.approx(later.item(), rel=1e-5)
            assert advantages[row, step].item() == pytest.approx(
                (rewards[row, step] + discount * after - values[row, step]).item(), rel=1e-4, abs=1e-6
            )
        assert not returns[row, length:].any() and not advantages[row, length:].any()


def test_whitened_advantages_have_mean_0_and_variance_1():
    mask = torch.tensor([[True, True, False], [True, True, False]])
    found = whitened(torch.tensor([[1.0, 2.0, 50.0], [3.0, 6.0, -9.0]]), mask)
    assert found[mask].mean().item() == pytest.approx(0, abs=1e-6)
    assert found[mask].var(unbiased=False).item() == pytest.approx(1, abs=1e-5)
    assert not found[~mask].any()
