"""Naive DDP: one blocking all-reduce a parameter, after the backward pass.

It sends what it must, but waits for the latency of every parameter, and the network idles during the backward pass.
"""

from __future__ import annotations

from lm.parallel.collectives import all_reduce
from lm.parallel.data_parallel import DataParallel


class NaiveDDP(DataParallel):
    """Data parallelism by one all-reduce after another."""

    def _reduce(self) -> list[bool]:
        present = self._agree_on(self._present())
        for parameter, is_present in zip(self._reduced, present, strict=True):
            if is_present:
                gradient = self._gradient(parameter)
                all_reduce(gradient, self.group).wait()
                self._average_(gradient)
        return present
