"""Ring collectives out of sends and receives (Patarasu and Yuan 2009): the reference of `lm.parallel.collectives`.

The ranks form a ring; each sends to the next and receives from the one before, N − 1 times a pass. The tensor is cut
into N chunks. Reduce-scatter: what arrives is added to the own chunk and sent on, so that after N − 1 steps rank r has
the sum of chunk r. All-gather: finished chunks go round in the same way.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from jaxtyping import Num
from torch import Tensor

from lm.parallel.collectives import Group, num_ranks, rank_in


def ring_all_reduce(tensor: Num[Tensor, ...], group: Group = None) -> int:
    """Replace the tensor by its sum over all ranks; returns the bytes that this rank sent.

    They are 2 (N − 1)/N of the tensor's, but for chunks that differ by one element where N does not divide it.
    """
    chunks = _chunks(tensor, group)
    return _pass(chunks, group, offset=-1, adding=True) + _pass(chunks, group, offset=0, adding=False)


def ring_reduce_scatter(tensor: Num[Tensor, ...], group: Group = None) -> tuple[Tensor, int]:
    """Return this rank's chunk of the sum over all ranks, and the bytes that this rank sent; `tensor` is consumed."""
    chunks = _chunks(tensor, group)
    sent = _pass(chunks, group, offset=-1, adding=True)
    return chunks[rank_in(group)], sent


def ring_all_gather(tensor: Num[Tensor, ...], group: Group = None) -> int:
    """Fill the chunks of all other ranks, of which each has its own; returns the bytes that this rank sent."""
    return _pass(_chunks(tensor, group), group, offset=0, adding=False)


def _chunks(tensor: Tensor, group: Group) -> list[Tensor]:
    return list(tensor.view(-1).tensor_split(num_ranks(group)))


@torch.no_grad()
def _pass(chunks: list[Tensor], group: Group, *, offset: int, adding: bool) -> int:
    """Take N − 1 steps round the ring; the first chunk that rank r sends is r + offset."""
    number, rank, sent = num_ranks(group), rank_in(group), 0
    after, before = ((rank + step) % number for step in (1, -1))
    for step in range(number - 1):
        out, into = (chunks[(rank + offset - step - late) % number] for late in (0, 1))
        arriving = torch.empty_like(into)
        operations = [
            dist.P2POp(dist.isend, out.contiguous(), group_peer=after, group=group),
            dist.P2POp(dist.irecv, arriving, group_peer=before, group=group),
        ]
        for work in dist.batch_isend_irecv(operations):
            work.wait()
        into.copy_(into + arriving if adding else arriving)
        sent += out.numel() * out.element_size()
    return sent
