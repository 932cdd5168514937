"""Every function with a mask: another result under a mask of ones or of zeros, and none from outside of the mask."""

import pytest
import torch

from lm.alignment import (
    clipped_value_loss,
    generalized_advantages,
    grpo_microbatch_step,
    masked_mean,
    masked_normalize,
    policy_gradient_loss,
    response_log_probs,
    sft_microbatch_step,
    token_weights,
    whitened,
)
from lm.alignment.masked import masked_sum

MASK = torch.tensor([[False, True, True, False], [True, True, False, False], [False, True, True, True]])
DRAWN = torch.Generator().manual_seed(0)
X, Y, Z = (-torch.rand(3, 4, generator=DRAWN, dtype=torch.float64) - 0.1 for _ in range(3))
ADVANTAGES = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
IDS = torch.arange(12).view(3, 4)


def leaf(x):
    return x.detach().clone().requires_grad_()


FUNCTIONS = {
    "masked_sum": lambda x, mask: masked_sum(x, mask),
    "masked_mean": lambda x, mask: masked_mean(x, mask),
    "masked_normalize": lambda x, mask: masked_normalize(x, mask, 3.0),
    "token_weights": lambda x, mask: (token_weights(mask, "sequence", 4) * Y).sum(),
    "whitened": lambda x, mask: (whitened(x, mask) * Y).sum(),
    "generalized_advantages": lambda x, mask: generalized_advantages(x, x, mask)[0].sum(),
    "clipped_value_loss": lambda x, mask: clipped_value_loss(x, Y, Z, mask),
    "sft_microbatch_step": lambda x, mask: sft_microbatch_step(leaf(x), mask, 3.0)[0],
    "grpo_microbatch_step": lambda x, mask: grpo_microbatch_step(
        leaf(x), mask, ADVANTAGES, torch.full((3, 4), 0.25).double(), old_log_probs=Y
    )[0],
    **{
        f"policy_gradient_loss, {method}": lambda x, mask, method=method: policy_gradient_loss(
            ADVANTAGES, x, method, Y, mask=mask
        ).sum()
        for method in ("naive", "reinforce_with_baseline", "unclipped", "clip", "gspo", "cispo")
    },
    "response_log_probs": lambda x, mask: response_log_probs(
        lambda ids: torch.stack([x, Y, Z], dim=-1), IDS, IDS % 3, mask=mask
    )["log_probs"].sum(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ones_and_zeros_give_another_result(name):
    function = FUNCTIONS[name]
    found = function(X, MASK).item()
    for wrong in (torch.ones_like(MASK), torch.zeros_like(MASK), ~MASK):
        assert function(X, wrong).item() != pytest.approx(found, rel=1e-6), wrong


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nothing_comes_from_outside(name):
    changed = torch.where(MASK, X, X - 7.0)
    assert FUNCTIONS[name](changed, MASK).item() == pytest.approx(FUNCTIONS[name](X, MASK).item(), rel=1e-12)
