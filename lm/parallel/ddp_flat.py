"""Flat DDP: all gradients of a type in one all-reduce, after the backward pass.

One latency instead of one a parameter, for a copy of all gradients; nothing overlaps.
"""

from __future__ import annotations

import itertools

from torch import Tensor

from lm.parallel.collectives import all_reduce
from lm.parallel.data_parallel import DataParallel
from lm.parallel.flat import flattened, unflatten_into


class FlatDDP(DataParallel):
    """Data parallelism by one all-reduce for each dtype."""

    def _reduce(self) -> list[bool]:
        present = self._agree_on(self._present())
        gradients = [
            self._gradient(parameter)
            for parameter, is_present in zip(self._reduced, present, strict=True)
            if is_present
        ]
        for same in by_dtype(gradients):
            flat = flattened(same)
            all_reduce(flat, self.group).wait()
            self._average_(flat)
            unflatten_into(flat, same)
        return present


def by_dtype(tensors: list[Tensor]) -> list[list[Tensor]]:
    """Return the tensors of each dtype together, in order."""
    ordered = sorted(tensors, key=lambda tensor: str(tensor.dtype))
    return [list(same) for _, same in itertools.groupby(ordered, key=lambda tensor: tensor.dtype)]
