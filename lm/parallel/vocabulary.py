"""Embedding and cross-entropy with the vocabulary split over ranks, and the two operators of tensor parallelism.

    copied    forward: the same tensor; backward: the gradient summed over the ranks    f of Shoeybi et al. 2019, fig. 3
    summed    forward: the sum over the ranks; backward: the same gradient              g

    −log p(target) = log Σ exp(logit − max) + max − logit[target]

Of max, sum and target's logit each rank finds its part, and three numbers a token travel in place of its logits.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lm.model.precision import widened
from lm.parallel.collectives import Group, all_reduce, rank_in, sum_over_ranks


class VocabParallelEmbedding(nn.Module):
    """The rows of a matrix by their ids, of which each rank has an equal part."""

    def __init__(self, weight: nn.Parameter, group: Group) -> None:
        super().__init__()
        self.weight, self.group = weight, group

    def forward(self, ids: Int[Tensor, ...]) -> Float[Tensor, "... d_model"]:
        """Look up the own ids, and add up what the ranks found."""
        local, is_own = _local(ids, len(self.weight), self.group)
        return summed(F.embedding(local, self.weight) * is_own[..., None].to(self.weight.dtype), self.group)


def vocab_parallel_losses(
    logits: Float[Tensor, "*axes part"], targets: Int[Tensor, "*axes"], group: Group
) -> Float[Tensor, "*axes"]:
    """Return −log p(target) in nats, in float32; `logits` are of this rank's part of the vocabulary."""
    wide = widened(logits)
    with torch.no_grad():
        largest = wide.amax(dim=-1)
        all_reduce(largest, group, op=dist.ReduceOp.MAX).wait()
    normalizer = summed(torch.exp(wide - largest[..., None]).sum(dim=-1), group)
    local, is_own = _local(targets, wide.shape[-1], group)
    chosen = summed(wide.gather(-1, local[..., None]).squeeze(-1) * is_own.to(wide.dtype), group)
    return normalizer.log() + largest - chosen


def copied(x: Float[Tensor, "*axes"], group: Group) -> Float[Tensor, "*axes"]:
    """Return the tensor; its gradient is summed over the ranks, each of which computes with it in another way."""
    result: Tensor = _Copied.apply(x, group)
    return result


def summed(x: Float[Tensor, "*axes"], group: Group) -> Float[Tensor, "*axes"]:
    """Return the sum over the ranks, with which each computes on in the same way."""
    result: Tensor = _Summed.apply(x, group)
    return result


class _Copied(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return sum_over_ranks(gradient.contiguous(), ctx.group), None


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        return sum_over_ranks(x.contiguous(), group)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def _local(ids: Tensor, size: int, group: Group) -> tuple[Tensor, Tensor]:
    """Return the ids as rows of this rank's part, 0 for others', and which are its own."""
    local = ids - rank_in(group) * size
    is_own = (local >= 0) & (local < size)
    return local * is_own, is_own
