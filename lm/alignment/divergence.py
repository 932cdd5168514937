"""The exact KL divergence of two models over the tokens of given responses."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lm.alignment.log_probs import CausalLM
from lm.alignment.sequences import pad, response_logits
from lm.chat.template import ChatExample
from lm.model.precision import widened


@torch.no_grad()
def mean_kl(
    model: CausalLM, reference: CausalLM, examples: Sequence[ChatExample], device: torch.device, rows_at_once: int = 8
) -> float:
    """Return the mean over all response tokens of KL(π ‖ π_ref) = Σ_v π(v) (log π(v) − log π_ref(v)), in nats.

    Each token's distributions follow the given tokens before it, so this needs no samples; at least float32.
    """
    total, num_tokens = 0.0, 0
    for start in range(0, len(examples), rows_at_once):
        batch = pad(examples[start : start + rows_at_once], device)
        ours, theirs = (torch.log_softmax(widened(response_logits(each, batch)), dim=-1) for each in (model, reference))
        # A token of probability 0 adds nothing, also where the reference gives it 0.
        terms = ours.exp() * (ours - theirs)
        total += terms.masked_fill(ours == -torch.inf, 0.0).double().sum().item()
        num_tokens += int(batch.response_mask.sum())
    return total / max(1, num_tokens)
