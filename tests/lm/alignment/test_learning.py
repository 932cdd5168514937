"""The losses learn: a bandit's exact gradient, and a task of three states whose best policy is known."""

import pytest
import torch

from lm.alignment import (
    clipped_value_loss,
    generalized_advantages,
    group_advantages,
    policy_gradient_loss,
    token_weights,
    whitened,
)

ARMS = torch.tensor([0.2, 1.0, 0.5], dtype=torch.float64)


def expected_reward(logits):
    return (torch.softmax(logits, 0) * ARMS).sum()


@pytest.mark.parametrize(
    ("method", "baseline"),
    [("naive", "none"), ("reinforce_with_baseline", "mean"), ("unclipped", "mean"), ("clip", "mean"), ("gspo", "mean")],
)
def test_the_gradient_of_a_bandit_is_that_of_its_expected_reward(method, baseline):
    """Every pair of arms drawn together, weighed by its probability: no sampling error. A group of two with its own
    mean as the baseline has half of the gradient."""
    logits = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64, requires_grad=True)
    log_probs = torch.log_softmax(logits, 0)
    arms = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    rewards, drawn = ARMS[arms], log_probs[arms]
    probability = drawn.detach().sum(dim=1).exp()
    advantages = group_advantages(rewards, baseline, "none")
    losses = policy_gradient_loss(advantages.flatten(), drawn.reshape(-1, 1), method, drawn.detach().reshape(-1, 1))
    (losses.view(-1, 2).mean(dim=1) * probability).sum().backward()
    step = 1e-6
    differences = [
        (expected_reward(logits.detach() + step * unit) - expected_reward(logits.detach() - step * unit)) / (2 * step)
        for unit in torch.eye(3, dtype=torch.float64)
    ]
    factor = 0.5 if baseline == "mean" else 1.0
    torch.testing.assert_close(-logits.grad, factor * torch.stack(differences), atol=1e-8, rtol=1e-6)


class ThreeStates:
    """States 0, 1, 2 and an end. `right` leads on, from 2 to the end with a reward of 1; `left` ends at once with 0.3,
    so the best policy goes right three times."""

    LENGTH = 3

    def play(self, actions):
        """Rewards and steps taken of whole sequences of actions, `[rows, 3]`; 1 is right."""
        stays = actions.cumprod(dim=1)
        mask = torch.cat([torch.ones(len(actions), 1), stays[:, :-1]], dim=1).bool()
        left = mask & (actions == 0)
        rewards = 0.3 * left.float()
        rewards[:, -1] += stays[:, -1].float()
        return rewards, mask


@pytest.mark.parametrize("algorithm", ["reinforce", "grpo", "ppo"])
def test_three_states_are_learned(algorithm):
    generator = torch.Generator().manual_seed(0)
    task, logits = ThreeStates(), torch.zeros(3, 2, requires_grad=True)
    values = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([logits, values], lr=0.1)
    for _ in range(60):
        with torch.no_grad():
            probs = torch.softmax(logits, 1)
            actions = torch.multinomial(probs, 64, replacement=True, generator=generator).T
            old = probs.log()[torch.arange(3), actions]
            old_values = values.detach().expand(64, 3)
        rewards, mask = task.play(actions)
        total = rewards.sum(dim=1)
        for _ in range(4 if algorithm == "ppo" else 1):
            log_probs = torch.log_softmax(logits, 1)[torch.arange(3), actions]
            value_loss = torch.zeros(())
            if algorithm == "reinforce":
                losses = policy_gradient_loss(total - total.mean(), log_probs, "reinforce_with_baseline", mask=mask)
            elif algorithm == "grpo":
                advantages = group_advantages(total.view(8, 8)).flatten()
                losses = policy_gradient_loss(advantages, log_probs, "clip", old, mask=mask)
            else:
                advantages, returns = generalized_advantages(rewards, old_values, mask)
                losses = policy_gradient_loss(whitened(advantages, mask), log_probs, "clip", old, mask=mask)
                value_loss = clipped_value_loss(values.expand(64, 3), old_values, returns, mask)
            optimizer.zero_grad()
            ((losses * token_weights(mask, "token", 3)).sum() + value_loss).backward()
            optimizer.step()
    assert torch.softmax(logits, 1)[:, 1].prod() > 0.9
    if algorithm == "ppo":
        assert values[2].item() == pytest.approx(1.0, abs=0.2)
