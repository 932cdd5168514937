"""Gradients of a batch, one microbatch after the other; any split gives the gradient of the whole batch.

For that each loss is a sum over tokens divided by what the whole batch has, never a mean over the microbatch.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from lm.alignment.config import Method
from lm.alignment.masked import masked_mean, masked_normalize, masked_sum
from lm.alignment.policy_losses import Advantages, is_clipped, policy_gradient_loss, probability_ratio


def sft_microbatch_step(
    log_probs: Float[Tensor, "rows targets"],
    mask: Bool[Tensor, "rows targets"],
    constant: float,
    *,
    added_loss: Tensor | None = None,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Add the gradients of − Σ log p · mask / `constant` to the parameters; return this loss and its metadata.

    Args:
        log_probs: of the labels, with gradients, as `response_log_probs` gives them.
        constant: the response tokens of the whole batch, so that losses of microbatches sum to the batch's mean.
        added_loss: a term to add before the backward pass, such as a router's auxiliary loss; not in what is returned.
    """
    loss = -masked_normalize(log_probs, mask, constant)
    _backward(loss, added_loss)
    return loss.detach(), {"log_prob": masked_mean(log_probs.detach(), mask), "num_tokens": mask.sum()}


def grpo_microbatch_step(
    log_probs: Float[Tensor, "rows targets"],
    mask: Bool[Tensor, "rows targets"],
    advantages: Advantages,
    weights: Float[Tensor, "rows targets"],
    *,
    method: Method = "clip",
    old_log_probs: Float[Tensor, "rows targets"] | None = None,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    penalty: Float[Tensor, "rows targets"] | None = None,
    added_loss: Tensor | None = None,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Add the gradients of Σ weights · (`policy_gradient_loss` + penalty) to the parameters; return it and metadata.

    The metadata are sums over this microbatch's tokens, which add up over microbatches: `clipped` tokens, the
    `ratio`, `log_prob_gap`, which is |log π − log π_old|, and `num_tokens`.

    Args:
        weights: of each token, by `token_weights` of the whole batch, cut to these rows.
        penalty: a loss of each token beside the policy's, such as a weighted `kl_estimate`.
        added_loss: as in `sft_microbatch_step`.
    """
    losses = policy_gradient_loss(advantages, log_probs, method, old_log_probs, clip_low, clip_high, mask)
    if penalty is not None:
        losses = losses + penalty.masked_fill(~mask, 0.0)
    loss = masked_sum(losses * weights, mask)
    _backward(loss, added_loss)
    found = {"num_tokens": mask.sum()}
    if old_log_probs is not None:
        ratio = probability_ratio(log_probs.detach(), old_log_probs, mask, whole_response=method == "gspo")
        found["ratio"] = masked_sum(ratio, mask)
        found["log_prob_gap"] = masked_sum((log_probs.detach() - old_log_probs).abs(), mask)
        found["clipped"] = (is_clipped(advantages, ratio, method, clip_low, clip_high) & mask).sum()
    return loss.detach(), found


def _backward(loss: Tensor, added: Tensor | None) -> None:
    (loss if added is None else loss + added).backward()
