"""Data parallelism: each process reads its part of a batch; gradients and losses are summed.

The processes are those of `torch.distributed`'s default group, where there is one. Every loss is divided by the targets
of the whole batch (`Batch.num_targets`), so sums are what one process would have found.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def num_processes() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@torch.no_grad()
def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace every gradient by its sum over all processes; one that a process does not have counts as zero.

    All gradients of one type travel together.
    """
    if num_processes() == 1:
        return
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            by_type.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for gradients in by_type.values():
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [part.view_as(to) for part, to in zip(parts, gradients, strict=True)])


@torch.no_grad()
def sum_over_processes(value: Tensor) -> float:
    """The sum of a scalar of each process."""
    total = value.detach().clone()
    dist.all_reduce(total)
    return float(total)
