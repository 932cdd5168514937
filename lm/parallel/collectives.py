"""Collectives of `torch.distributed`, in one dtype and one flat tensor each, with a count of the bytes sent.

Every other module of this package communicates through these functions, so `count_traffic` sees every byte. It counts
tensors by the ring formulas of `lm.accounting.communication`; `lm.parallel.ring` shows that a ring sends just that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor

from lm.accounting.communication import Collective, ring_bytes

Group = dist.ProcessGroup | None
"""A process group; None is the default group of all ranks."""

# torch 2.13 renamed both and warns of the old names; 2.11 has only the old ones.
_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_reduce_scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor


@dataclass(slots=True)
class Traffic:
    """Bytes that this rank sent, and the number of collectives, by their names."""

    sent_bytes: dict[str, float] = field(default_factory=dict)
    num_calls: dict[str, int] = field(default_factory=dict)

    @property
    def total_bytes(self) -> float:
        """Return the bytes of all collectives together."""
        return sum(self.sent_bytes.values())

    def add(self, collective: Collective, size_bytes: int, num_ranks: int) -> None:
        """Count one collective over a whole tensor of `size_bytes`."""
        sent = ring_bytes(collective, size_bytes, num_ranks)
        self.sent_bytes[collective] = self.sent_bytes.get(collective, 0.0) + sent
        self.num_calls[collective] = self.num_calls.get(collective, 0) + 1


_counting: list[Traffic] = []


@contextmanager
def count_traffic() -> Iterator[Traffic]:
    """Count the collectives of this process while entered, also those that other threads start."""
    traffic = Traffic()
    _counting.append(traffic)
    try:
        yield traffic
    finally:
        _counting.remove(traffic)


class Pending:
    """A collective on its way; `wait` returns when its result may be read."""

    def __init__(self, work: dist.Work | None) -> None:
        self._work = work

    def wait(self) -> None:
        """Wait for the end: on a GPU the current stream does, not the CPU."""
        if self._work is not None:
            self._work.wait()
            self._work = None


def num_ranks(group: Group = None) -> int:
    """Return the number of ranks of the group; 1 where no process group was initialized."""
    return dist.get_world_size(group) if dist.is_available() and dist.is_initialized() else 1


def rank_in(group: Group = None) -> int:
    """Return this process's rank in the group; 0 where no process group was initialized."""
    return dist.get_rank(group) if dist.is_available() and dist.is_initialized() else 0


def all_reduce(tensor: Tensor, group: Group = None, *, op: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> Pending:
    """Start to replace the tensor of every rank by the sum of all."""
    if num_ranks(group) == 1:
        return Pending(None)
    _count("all_reduce", tensor, group)
    return Pending(dist.all_reduce(tensor, op=op, group=group, async_op=True))


def broadcast(tensor: Tensor, source: int, group: Group = None) -> Pending:
    """Start to replace the tensor of every rank by that of rank `source` of the group."""
    if num_ranks(group) == 1:
        return Pending(None)
    _count("broadcast", tensor, group)
    return Pending(dist.broadcast(tensor, _global(source, group), group=group, async_op=True))


def reduce(tensor: Tensor, target: int, group: Group = None) -> Pending:
    """Start to replace the tensor of rank `target` of the group by the sum of all; those of others are undefined."""
    if num_ranks(group) == 1:
        return Pending(None)
    _count("reduce", tensor, group)
    return Pending(dist.reduce(tensor, _global(target, group), group=group, async_op=True))


def all_gather(whole: Tensor, part: Tensor, group: Group = None) -> Pending:
    """Start to fill `whole` with the parts of all ranks, in their order; all parts are of one size."""
    if num_ranks(group) == 1:
        whole.copy_(part.view_as(whole))
        return Pending(None)
    _count("all_gather", whole, group)
    return Pending(_all_gather(whole, part, group=group, async_op=True))


def reduce_scatter(part: Tensor, whole: Tensor, group: Group = None) -> Pending:
    """Start to fill `part` with this rank's slice of the sum of `whole` over all ranks."""
    if num_ranks(group) == 1:
        part.copy_(whole.view_as(part))
        return Pending(None)
    _count("reduce_scatter", whole, group)
    return Pending(_reduce_scatter(part, whole, group=group, async_op=True))


@torch.no_grad()
def sum_over_ranks(values: Tensor, group: Group = None) -> Tensor:
    """Return the sum of a tensor over all ranks, as a new tensor."""
    total = values.detach().clone()
    all_reduce(total, group).wait()
    return total


def _global(rank: int, group: Group) -> int:
    return rank if group is None else dist.get_global_rank(group, rank)


def _count(collective: Collective, tensor: Tensor, group: Group) -> None:
    for traffic in _counting:
        traffic.add(collective, tensor.numel() * tensor.element_size(), num_ranks(group))
