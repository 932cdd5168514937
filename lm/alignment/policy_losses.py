"""Losses of policy gradients, per token: REINFORCE, PPO's clip, GSPO and CISPO; KL estimates and value losses.

With ratio r_t = π(token) / π_old(token) and advantage A:

    naive                     − A log π            A is the reward itself
    reinforce_with_baseline   − A log π            A is the reward less a baseline
    unclipped                 − r_t A
    clip                      − min( r_t A, clip(r_t, 1 − ε_low, 1 + ε_high) A )
    gspo                      the same with s = exp(mean of log r over the response) in place of r_t
    cispo                     − sg( clip(r_t, 1 − ε_low, 1 + ε_high) ) A log π

sg stops the gradient. The first two are one formula under the names of what goes in. Sources: Williams 1992; PPO,
Schulman et al. 2017, arXiv:1707.06347, eq. 7; two bounds, DAPO, Yu et al. 2025, arXiv:2503.14476, eq. 8; GSPO, Zheng
et al. 2025, arXiv:2507.18071, eq. 5; CISPO, MiniMax 2025, arXiv:2506.13585, eq. 4. Everything is at least float32.
"""

from __future__ import annotations

from typing import get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lm.alignment.config import KLEstimator, Method, Normalization
from lm.alignment.masked import masked_mean
from lm.errors import ConfigurationError

Advantages = Float[Tensor, " rows"] | Float[Tensor, "rows #targets"]
"""One a response, or one a token."""

METHODS = get_args(Method)
OFF_POLICY = frozenset({"unclipped", "clip", "gspo", "cispo"})
"""The methods with a ratio, which need the log-probabilities of the policy that drew the responses."""


def policy_gradient_loss(
    advantages: Advantages,
    log_probs: Float[Tensor, "rows targets"],
    method: Method = "clip",
    old_log_probs: Float[Tensor, "rows targets"] | None = None,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    mask: Bool[Tensor, "rows targets"] | None = None,
) -> Float[Tensor, "rows targets"]:
    """Return the loss of every token by the module's formulas, 0 outside of `mask`; the caller weighs and sums.

    Args:
        method: of the module's table. `gspo` gives each token of a response the same loss, which a mean over the
            tokens turns into the paper's.
        old_log_probs: of the policy that drew the tokens; the last four methods need them.
        clip_low, clip_high: ε_low and ε_high.
        mask: true for the tokens of a response; without one all are.

    Raises:
        ConfigurationError: no such method, or one with a ratio without `old_log_probs`.
    """
    inside = torch.ones_like(log_probs, dtype=torch.bool) if mask is None else mask
    by_token = (advantages[:, None] if advantages.dim() == 1 else advantages).expand_as(log_probs)
    if method not in METHODS:
        raise ConfigurationError(f"method: '{method}', expected one of {', '.join(METHODS)}")
    if method in OFF_POLICY:
        if old_log_probs is None:
            raise ConfigurationError(
                f"method '{method}' needs old_log_probs, the log-probabilities of the policy that sampled the tokens"
            )
        ratio = probability_ratio(log_probs, old_log_probs, inside, whole_response=method == "gspo")
        clipped = ratio.clamp(1.0 - clip_low, 1.0 + clip_high)
        if method == "unclipped":
            loss = -ratio * by_token
        elif method == "cispo":
            loss = -clipped.detach() * by_token * log_probs
        else:
            loss = -torch.minimum(ratio * by_token, clipped * by_token)
    else:
        loss = -by_token * log_probs
    return loss.masked_fill(~inside, 0.0)


def probability_ratio(
    log_probs: Float[Tensor, "rows targets"],
    old_log_probs: Float[Tensor, "rows targets"],
    mask: Bool[Tensor, "rows targets"],
    *,
    whole_response: bool = False,
) -> Float[Tensor, "rows targets"]:
    """Return π / π_old of each token, 1 outside of `mask`; of a whole response, the geometric mean of its tokens'."""
    log_ratio = (log_probs - old_log_probs).masked_fill(~mask, 0.0)
    if whole_response:
        lengths = mask.sum(dim=1, keepdim=True).clamp(min=1)
        log_ratio = (log_ratio.sum(dim=1, keepdim=True) / lengths).expand_as(log_ratio)
    return torch.exp(log_ratio)


def is_clipped(
    advantages: Advantages,
    ratio: Float[Tensor, "rows targets"],
    method: Method,
    clip_low: float,
    clip_high: float,
) -> Bool[Tensor, "rows targets"]:
    """Return whether a token's loss is the clipped one: without gradient for `clip` and `gspo`, bounded for `cispo`."""
    by_token = (advantages[:, None] if advantages.dim() == 1 else advantages).expand_as(ratio)
    below, above = ratio < 1 - clip_low, ratio > 1 + clip_high
    if method in ("clip", "gspo"):  # only where the minimum takes the clipped side; elsewhere the gradient is whole
        return ((by_token < 0) & below) | ((by_token > 0) & above)
    if method == "cispo":
        return (below | above) & (by_token != 0)
    return torch.zeros_like(below)


def kl_estimate(
    log_probs: Float[Tensor, "*axes"], reference_log_probs: Float[Tensor, "*axes"], estimator: KLEstimator = "k3"
) -> Float[Tensor, "*axes"]:
    """Return an estimate of KL(π ‖ π_ref) from a token that π drew, with d = log π − log π_ref, in nats.

        k1 = d                       unbiased; its gradient has mean 0, so it belongs into the reward, not into the loss
        k2 = d² / 2                  biased; its gradient is that of the KL
        k3 = exp(−d) + d − 1         unbiased and never negative

    Source: Schulman 2020, "Approximating KL Divergence".
    """
    difference = log_probs - reference_log_probs
    if estimator == "k1":
        return difference
    if estimator == "k2":
        return difference**2 / 2
    if estimator == "k3":
        return torch.exp(-difference) + difference - 1.0
    raise ConfigurationError(f"estimator: '{estimator}', expected k1, k2 or k3")


def token_weights(
    mask: Bool[Tensor, "rows targets"], normalization: Normalization, max_new_tokens: int
) -> Float[Tensor, "rows targets"]:
    """Return the weight of each token's loss, so that the sum over the batch is the normalized loss; 0 outside of
    `mask`.

    A row without a true place weighs nothing, but its response still counts among the rows.
    """
    num_rows, lengths = mask.shape[0], mask.sum(dim=1, keepdim=True)
    divisors = {
        "token": lengths.sum().expand_as(lengths),
        "sequence": lengths * num_rows,
        "constant": torch.full_like(lengths, num_rows * max_new_tokens),
    }
    return mask / divisors[normalization].clamp(min=1)


def clipped_value_loss(
    values: Float[Tensor, "rows steps"],
    old_values: Float[Tensor, "rows steps"],
    returns: Float[Tensor, "rows steps"],
    mask: Bool[Tensor, "rows steps"],
    clip: float = 0.2,
) -> Float[Tensor, ""]:
    """Return the mean over `mask` of ½ max( (V − R)², (V_old + clip(V − V_old, ± clip) − R)² ), PPO's value loss.

    The larger of the two keeps the value from leaving the neighbourhood of V_old in one batch's updates.
    """
    near = old_values + (values - old_values).clamp(-clip, clip)
    return 0.5 * masked_mean(torch.maximum((values - returns) ** 2, (near - returns) ** 2), mask)


def adapted_kl_weight(weight: float, kl: float, target: float, *, num_samples: int, horizon: int = 10_000) -> float:
    """Return the next weight of a KL penalty that is to hold the KL near `target`, in proportion to the error.

        weight · (1 + clip(kl / target − 1, ± 0.2) · num_samples / horizon)

    Source: Ziegler et al. 2019, arXiv:1909.08593, sec. 2.2.
    """
    error = min(max(kl / target - 1.0, -0.2), 0.2)
    return weight * (1.0 + error * num_samples / horizon)
