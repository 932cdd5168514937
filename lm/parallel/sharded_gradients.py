"""ZeRO stage 2: each gradient is summed on the owner of its parameter alone (Rajbhandari et al. 2020, section 5.2).

Buckets hold parameters of one owner and go to that rank by a reduce during the backward pass, which sends half of what
an all-reduce does. Other ranks drop the gradient at the end; the owner's step and broadcast are `ShardedOptimizer`'s.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lm.parallel.clipping import clip_shared_gradients
from lm.parallel.collectives import Pending, rank_in, reduce
from lm.parallel.data_parallel import Reduction
from lm.parallel.ddp_overlapped import OverlappedDDP
from lm.parallel.flat import flattened, unflatten_into
from lm.parallel.sharded_optimizer import ShardedOptimizer

_MB = 1_000_000


class ShardedGradients(OverlappedDDP):
    """Data parallelism in which a rank ends with the gradients of its own parameters.

    Args:
        optimizer: over all trained parameters of the module; its group is the ranks'.
        bucket_size_mb: most megabytes of a bucket; a larger parameter is a bucket alone.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: ShardedOptimizer,
        *,
        bucket_size_mb: float = 25,
        reduction: Reduction = "mean",
    ) -> None:
        self._optimizer, self._bucket_bytes = optimizer, bucket_size_mb * _MB
        self._flat: dict[int, Tensor] = {}
        super().__init__(module, group=optimizer.group, reduction=reduction)

    def _owner(self, parameter: Tensor) -> int:
        return self._optimizer.owner_of(parameter)

    def _cut(self) -> list[list[Tensor]]:
        buckets: list[list[Tensor]] = []
        filled = math.inf
        for parameter in self._reduced:
            size = parameter.numel() * parameter.element_size()
            first = buckets[-1][0] if buckets else parameter
            other = self._owner(first) != self._owner(parameter) or first.dtype != parameter.dtype
            if other or filled + size > self._bucket_bytes:
                buckets.append([])
                filled = 0
            buckets[-1].append(parameter)
            filled += size
        return buckets

    def _start(self, index: int) -> Pending:
        part = self._parts[index]
        with torch.no_grad():
            flat = self._flat[index] = flattened([self._gradient(parameter) for parameter in part])
        return reduce(flat, self._owner(part[0]), self.group)

    def _end(self, index: int) -> None:
        part, flat = self._parts[index], self._flat.pop(index)
        if self._owner(part[0]) == rank_in(self.group):
            self._average_(flat)
            unflatten_into(flat, [self._gradient(parameter) for parameter in part])
            return
        for parameter in part:
            parameter.grad = None

    def clip_gradients(self, max_norm: float) -> Tensor:
        """Scale the gradients where their norm over all ranks exceeds `max_norm`; returns the norm before."""
        return clip_shared_gradients(self._reduced, max_norm, self.group)
