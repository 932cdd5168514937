"""Bucketed DDP: gradients travel in buckets of about `bucket_size_mb`, during the rest of the backward pass.

Buckets are filled in the reverse order of the parameters, which is nearly that in which gradients become ready (Li et
al. 2020, section 3.2.3). Fewer latencies than one a parameter, and still only the last bucket's time is not hidden.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lm.errors import ConfigurationError
from lm.parallel.collectives import Group, Pending, all_reduce
from lm.parallel.data_parallel import Reduction
from lm.parallel.ddp_overlapped import OverlappedDDP
from lm.parallel.flat import flattened, unflatten_into

_MB = 1_000_000


class BucketedDDP(OverlappedDDP):
    """Data parallelism by one all-reduce a bucket.

    Args:
        bucket_size_mb: most megabytes (10⁶ bytes) of a bucket; a larger parameter is a bucket alone.

    Raises:
        ConfigurationError: a size that is not above 0.
    """

    def __init__(
        self, module: nn.Module, bucket_size_mb: float, *, group: Group = None, reduction: Reduction = "mean"
    ) -> None:
        if not (bucket_size_mb > 0 and math.isfinite(bucket_size_mb)):
            raise ConfigurationError(f"bucket_size_mb: {bucket_size_mb}, expected a number above 0")
        self._bucket_bytes = bucket_size_mb * _MB
        self._flat: dict[int, Tensor] = {}
        super().__init__(module, group=group, reduction=reduction)

    def _cut(self) -> list[list[Tensor]]:
        buckets: list[list[Tensor]] = []
        filled = math.inf
        for parameter in self._reduced:
            size = parameter.numel() * parameter.element_size()
            if filled + size > self._bucket_bytes or buckets[-1][0].dtype != parameter.dtype:
                buckets.append([])
                filled = 0
            buckets[-1].append(parameter)
            filled += size
        return buckets

    def _start(self, index: int) -> Pending:
        with torch.no_grad():
            flat = self._flat[index] = flattened([self._gradient(parameter) for parameter in self._parts[index]])
        return all_reduce(flat, self.group)

    def _end(self, index: int) -> None:
        flat = self._flat.pop(index)
        self._average_(flat)
        unflatten_into(flat, [self._gradient(parameter) for parameter in self._parts[index]])
