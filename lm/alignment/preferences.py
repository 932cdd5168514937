"""Pairs of a better and a worse response as token sequences, and how a policy ranks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from lm.alignment.sequences import pad
from lm.alignment.shared_prompt import group_log_probs
from lm.chat.template import ChatExample
from lm.model import TransformerLM


@dataclass(frozen=True, slots=True)
class Pair:
    """The chosen and the rejected response to one prompt."""

    chosen: ChatExample
    rejected: ChatExample


@dataclass(frozen=True, slots=True)
class PairLogProbs:
    """log p(response | prompt), summed over its tokens, of both sides of each pair, and their numbers of tokens."""

    chosen: Float[Tensor, " pairs"]
    rejected: Float[Tensor, " pairs"]
    chosen_tokens: Float[Tensor, " pairs"]
    rejected_tokens: Float[Tensor, " pairs"]

    def __getitem__(self, indices: Sequence[int]) -> PairLogProbs:
        rows = list(indices)
        return PairLogProbs(
            self.chosen[rows], self.rejected[rows], self.chosen_tokens[rows], self.rejected_tokens[rows]
        )

    def per_token(self) -> PairLogProbs:
        """Return the mean log-probabilities of tokens in place of the sums."""
        return replace(self, chosen=self.chosen / self.chosen_tokens, rejected=self.rejected / self.rejected_tokens)


def pair_log_probs(model: TransformerLM, pairs: Sequence[Pair]) -> PairLogProbs:
    """Return the log-probabilities of both sides of all pairs, in one forward pass that reads each prompt once."""
    batch = pad([side for pair in pairs for side in (pair.chosen, pair.rejected)], model.device)
    totals = group_log_probs(model, batch, group_size=2).sum(dim=1)
    tokens = batch.response_mask.sum(dim=1).float()
    return PairLogProbs(totals[0::2], totals[1::2], tokens[0::2], tokens[1::2])


@torch.no_grad()
def all_pair_log_probs(model: TransformerLM, pairs: Sequence[Pair], batch_size: int = 64) -> PairLogProbs:
    """Return the same for many pairs without gradients, as for a frozen reference."""
    model.eval()
    parts = [pair_log_probs(model, pairs[start : start + batch_size]) for start in range(0, len(pairs), batch_size)]
    return PairLogProbs(
        *(
            torch.cat([getattr(part, name) for part in parts])
            for name in ("chosen", "rejected", "chosen_tokens", "rejected_tokens")
        )
    )


def preference_rates(policy: PairLogProbs, reference: PairLogProbs) -> dict[str, float]:
    """Return the shares of pairs in which the chosen response ranks first, a tie counting half, and mean figures.

    `reward_accuracy` ranks by the implicit reward log π − log π_ref, DPO's own measure; `log_prob_accuracy` by log π,
    which a sampler follows. `reward_margin` is the mean difference of implicit rewards, in nats, without β;
    `chosen_log_prob` and `rejected_log_prob` are the means of log π of whole responses.
    """
    margins = (policy.chosen - reference.chosen) - (policy.rejected - reference.rejected)
    return {
        "reward_accuracy": _share_above_zero(margins),
        "log_prob_accuracy": _share_above_zero(policy.chosen - policy.rejected),
        "reward_margin": margins.mean().item(),
        "chosen_log_prob": policy.chosen.mean().item(),
        "rejected_log_prob": policy.rejected.mean().item(),
    }


def _share_above_zero(differences: Tensor) -> float:
    return ((differences > 0).double() + 0.5 * (differences == 0).double()).mean().item()
