"""Advantages: of groups of sampled responses, and of the steps of a trajectory with a value function."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lm.alignment.config import Baseline, Normalizer
from lm.alignment.masked import masked_mean
from lm.errors import ConfigurationError


def group_advantages(
    rewards: Float[Tensor, "problems group"],
    baseline: Baseline = "mean",
    normalizer: Normalizer = "std",
    epsilon: float = 1e-6,
) -> Float[Tensor, "problems group"]:
    """Return A = (r − baseline) / (normalizer + ε) of each response within its group.

    | name | baseline | normalizer | source |
    |---|---|---|---|
    | GRPO | mean | std (unbiased) | Shao et al. 2024, arXiv:2402.03300, sec. 4.1.2 |
    | Dr. GRPO | mean | none | Liu et al. 2025, arXiv:2503.20783, sec. 3.1 |
    | MaxRL | mean | mean | the gradient of log(mean reward) |
    | RLOO | leave_one_out, the mean of the others | none | Ahmadian et al. 2024, arXiv:2402.14740, eq. 8 |
    | REINFORCE, RFT | none | none | Williams 1992 |

    A group of equal rewards has advantages of exactly 0 where there is a baseline or a division by std, although a
    mean may differ from its terms by a rounding. Division by std gives nearly solved and nearly hopeless problems the
    weight of the others.

    Raises:
        ConfigurationError: no such baseline or normalizer, or a group of one response with a baseline or std.
    """
    group = rewards.shape[1]
    if baseline not in ("mean", "leave_one_out", "none") or normalizer not in ("std", "mean", "none"):
        raise ConfigurationError(
            f"baseline '{baseline}', normalizer '{normalizer}': expected mean, leave_one_out or none; and std, mean or "
            "none"
        )
    if group < 2 and (baseline != "none" or normalizer == "std"):
        raise ConfigurationError(f"group: {group} response, expected at least 2 for a baseline or a standard deviation")
    mean = rewards.mean(dim=1, keepdim=True)
    advantages = rewards
    if baseline != "none":
        advantages = (rewards - mean) * (group / (group - 1) if baseline == "leave_one_out" else 1.0)
    if normalizer != "none":
        scale = rewards.std(dim=1, keepdim=True) if normalizer == "std" else mean
        advantages = advantages / (scale + epsilon)
    if baseline != "none" or normalizer == "std":
        advantages = advantages.masked_fill(have_equal_rewards(rewards)[:, None], 0.0)
    return advantages


def have_equal_rewards(rewards: Float[Tensor, "problems group"]) -> Bool[Tensor, " problems"]:
    """Return whether all rewards of a group are the same, so that a baseline leaves nothing."""
    return (rewards == rewards[:, :1]).all(dim=1)


def generalized_advantages(
    rewards: Float[Tensor, "rows steps"],
    values: Float[Tensor, "rows steps"],
    mask: Bool[Tensor, "rows steps"],
    *,
    discount: float = 1.0,
    decay: float = 0.95,
) -> tuple[Float[Tensor, "rows steps"], Float[Tensor, "rows steps"]]:
    """Return the advantages of GAE(γ, λ), and the returns A + V, of episodes that end with their last true step.

        δ_t = r_t + γ V_{t+1} − V_t,   A_t = δ_t + γ λ A_{t+1},   with V = A = 0 after the end

    `mask` is true for the steps of an episode, which are contiguous in their row; both results are 0 elsewhere. Without
    gradients. Source: Schulman et al. 2016, arXiv:1506.02438, eq. 16; γ is `discount`, λ is `decay`.
    """
    rewards, values = rewards.detach(), values.detach()
    advantages = torch.zeros_like(rewards)
    after_value = after_advantage = torch.zeros_like(rewards[:, 0])
    for step in range(rewards.shape[1] - 1, -1, -1):
        inside = mask[:, step]
        delta = rewards[:, step] + discount * after_value - values[:, step]
        advantage = delta + discount * decay * after_advantage
        advantages[:, step] = advantage.where(inside, 0.0)
        after_value, after_advantage = values[:, step].where(inside, 0.0), advantage.where(inside, 0.0)
    return advantages, (advantages + values).masked_fill(~mask, 0.0)


def whitened(
    advantages: Float[Tensor, "rows steps"], mask: Bool[Tensor, "rows steps"], epsilon: float = 1e-8
) -> Float[Tensor, "rows steps"]:
    """Return (A − mean) / √(variance + ε) over the true places, 0 elsewhere, as PPO for language models does."""
    mean = masked_mean(advantages, mask)
    variance = masked_mean((advantages - mean) ** 2, mask)
    return ((advantages - mean) * torch.rsqrt(variance + epsilon)).masked_fill(~mask, 0.0)
