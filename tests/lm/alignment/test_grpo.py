"""The GRPO loss against its formula written out with loops, and the ways to weigh tokens."""

import math

import pytest
import torch

pytest.importorskip("lm.tokenizer")

from lm.alignment.config import GRPOConfig
from lm.alignment.grpo import _accumulate_gradients, grpo_loss, token_weights
from lm.alignment.rollouts import Rollouts, group_advantages, have_equal_rewards
from lm.alignment.sequences import pad, response_log_probs
from lm.chat.template import ChatExample
from lm.errors import ConfigurationError
from lm.model import TransformerLM, preset


def plain_loss(log_probs, old, advantages, mask, reference, *, clip_low, clip_high, kl_weight, normalization, longest):
    """The loss of the module's docstring, one token after the other, in Python floats."""
    rows, _ = log_probs.shape
    total_tokens = int(mask.sum())
    loss = 0.0
    for i in range(rows):
        length = int(mask[i].sum())
        divisor = {"token": total_tokens, "sequence": length * rows, "constant": rows * longest}[normalization]
        for t in mask[i].nonzero().flatten().tolist():
            ratio = math.exp(log_probs[i, t].item() - old[i, t].item())
            advantage = advantages[i].item()
            clipped = min(max(ratio, 1 - clip_low), 1 + clip_high)
            difference = reference[i, t].item() - log_probs[i, t].item()
            kl = math.exp(difference) - difference - 1
            loss -= (min(ratio * advantage, clipped * advantage) - kl_weight * kl) / divisor
    return loss


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([7, 1, 4, 7, 3, 5])
    mask = (torch.arange(9) >= 1) & (torch.arange(9) <= lengths[:, None])
    log_probs, old, reference = (
        -3 * torch.rand(6, 9, generator=generator, dtype=torch.float64) * mask for _ in range(3)
    )
    return log_probs.requires_grad_(), old, reference, mask


@pytest.mark.parametrize("kl_weight", [0.0, 0.3])
@pytest.mark.parametrize("normalization", ["token", "sequence", "constant"])
def test_loss_is_the_formula(rows, normalization, kl_weight):
    log_probs, old, reference, mask = rows
    advantages = torch.tensor([1.0, -0.5, 0.0, 2.0, -1.5, 0.25], dtype=torch.float64)
    limits = {"clip_low": 0.2, "clip_high": 0.28, "kl_weight": kl_weight}
    losses = grpo_loss(log_probs, old, advantages, mask, reference_log_probs=reference, **limits)
    loss = (losses * token_weights(mask, normalization, 10)).sum()
    wanted = plain_loss(log_probs, old, advantages, mask, reference, **limits, normalization=normalization, longest=10)
    assert loss.item() == pytest.approx(wanted, rel=1e-6)


def test_at_ratio_one_the_gradient_is_the_policy_gradient(rows):
    log_probs, _, _, mask = rows
    advantages = torch.arange(-2.0, 4.0, dtype=torch.float64)
    losses = grpo_loss(log_probs, log_probs.detach(), advantages, mask, clip_low=0.2, clip_high=0.2)
    losses.sum().backward()
    torch.testing.assert_close(log_probs.grad, -advantages[:, None] * mask)


@pytest.mark.parametrize(
    ("shift", "advantage", "moves"), [(0.5, 1.0, False), (0.5, -1.0, True), (-0.5, 1.0, True), (-0.5, -1.0, False)]
)
def test_clipping_stops_only_what_went_too_far_already(shift, advantage, moves):
    log_probs = torch.tensor([[-1.0 + shift]], requires_grad=True)
    old, mask = torch.tensor([[-1.0]]), torch.tensor([[True]])
    grpo_loss(log_probs, old, torch.tensor([advantage]), mask, clip_low=0.2, clip_high=0.2).sum().backward()
    assert (log_probs.grad.item() != 0) is moves


def test_advantages_are_centred_in_each_group():
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.1, 0.0, 0.0, 0.0]])
    plain = group_advantages(rewards, divide_by_std=False)
    torch.testing.assert_close(plain, rewards - rewards.mean(dim=1, keepdim=True))
    divided = group_advantages(rewards, divide_by_std=True)
    assert divided[1].tolist() == [0.0] * 4
    torch.testing.assert_close(divided[[0, 2]].std(dim=1), torch.ones(2), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "values",
    [
        {"group_size": 1},
        {"temperature": 0.0},
        {"format_reward": 1.0},
        {"learning_rate": 0.0},
        {"updates_per_rollout": 65},
        {"learning_rate": float("nan")},
    ],
)
def test_impossible_settings_are_refused(values):
    with pytest.raises(ConfigurationError, match=next(iter(values))):
        GRPOConfig(**values)


@pytest.mark.parametrize("reward", [0.1, 0.3, 0.7, 1 / 3, 1.0])
@pytest.mark.parametrize("group", [2, 3, 8, 17])
@pytest.mark.parametrize("divide_by_std", [True, False])
def test_equal_rewards_teach_exactly_nothing(reward, group, divide_by_std):
    rewards = torch.full((3, group), reward)
    rewards[2, 0] = 0.0
    advantages = group_advantages(rewards, divide_by_std=divide_by_std)
    assert not advantages[:2].any() and advantages[2].all()
    assert have_equal_rewards(rewards).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("shift", "share"),
    [(0.0, 0.0), (0.1, 0.0), (0.7, 1.0)],  # of the log-probabilities along the advantage
)
@pytest.mark.parametrize("along", [1, -1])
def test_only_tokens_whose_gradient_stops_are_clipped(shift, share, along):
    torch.manual_seed(0)
    model = TransformerLM(preset("test"))
    batch = pad([ChatExample([1, 2, 3, 4 + i, 9], 3) for i in range(2)], model.device)
    now = response_log_probs(model, batch).detach()
    moved = torch.tensor([[along * shift], [-along * shift]]) * batch.response_mask
    rollouts = Rollouts(batch, now - moved, torch.tensor([[1.0, 0.0]]), [])
    config = GRPOConfig(group_size=2, negative_weight=1.0)
    numbers = _accumulate_gradients(model, None, rollouts, config, 1)
    still = not any(parameter.grad.any() for parameter in model.parameters() if parameter.grad is not None)
    assert numbers["clipped_share"] == (share if along > 0 else 0.0) and still == (numbers["clipped_share"] == 1.0)
