"""The part that all variants of distributed data parallelism (DDP) share.

Every rank holds the whole module and reads its part of the batch. After the backward pass the gradients of all ranks
are averaged, so that equal weights stay equal. The variants differ in how the gradients travel:

    NaiveDDP      one blocking all-reduce a parameter, after the backward pass
    FlatDDP       one all-reduce for all parameters, after the backward pass
    DDP           one all-reduce a parameter, started as soon as its gradient is there
    BucketedDDP   one all-reduce a bucket of parameters, started as soon as its last gradient is there

A training step is forward, backward, `finish_gradient_synchronization()`, optimizer. With gradient accumulation all
but the last backward pass run under `no_sync()`.

A parameter that no rank used has no gradient afterwards, as in one process; one that some rank used has zeros in the
sum for the others. Frozen parameters are broadcast once and never sent again; a tied one is sent once.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lm.errors import ConfigurationError
from lm.parallel.collectives import Group, all_reduce, broadcast, num_ranks

Reduction = Literal["mean", "sum"]


class DataParallel(nn.Module, abc.ABC):
    """A container of `module`, whose parameters and buffers become those of rank 0.

    Args:
        module: any module; all its parameters on one device.
        group: the ranks that train together; None is all.
        reduction: gradients are averaged (mean) or added up (sum: where each loss is a share of the whole batch's).
    """

    def __init__(self, module: nn.Module, *, group: Group = None, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.module, self.group, self.reduction = module, group, reduction
        # In the order in which a backward pass finds the gradients, the last layer first.
        self._reduced = [parameter for parameter in module.parameters() if parameter.requires_grad][::-1]
        self._synchronizing = True
        broadcast_state(module, group)

    def forward(self, *arguments: Any, **options: Any) -> Any:
        """Call the module."""
        return self.module(*arguments, **options)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Add to the gradients of this rank alone in backward passes within the block."""
        before, self._synchronizing = self._synchronizing, False
        try:
            yield
        finally:
            self._synchronizing = before

    @torch.no_grad()
    def finish_gradient_synchronization(self) -> None:
        """Wait until every gradient is that of all ranks.

        Raises:
            ConfigurationError: a parameter began to require a gradient after it was wrapped, or has a sparse one.
        """
        self._refuse_unknown()
        present = self._reduce()
        for parameter, is_present in zip(self._reduced, present, strict=True):
            if not is_present:
                parameter.grad = None

    @abc.abstractmethod
    def _reduce(self) -> list[bool]:
        """Reduce the gradients of `_reduced`; returns which of them any rank had."""

    def _present(self) -> list[bool]:
        return [parameter.grad is not None for parameter in self._reduced]

    def _agree_on(self, present: list[bool]) -> list[bool]:
        """Return for each of `_reduced` if it is present on any rank: one all-reduce of a byte a parameter."""
        if not present:
            return []
        flags = torch.tensor(present, device=self._reduced[0].device).byte()
        all_reduce(flags, self.group, op=dist.ReduceOp.MAX).wait()
        found: list[bool] = flags.bool().tolist()
        return found

    def _gradient(self, parameter: Tensor) -> Tensor:
        """Return the parameter's gradient, zeros where this rank has none."""
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        if parameter.grad.is_sparse:
            raise ConfigurationError(f"a sparse gradient {list(parameter.shape)}, expected dense ones (sparse=False)")
        return parameter.grad

    def _average_(self, gradient: Tensor) -> None:
        if self.reduction == "mean":
            gradient.div_(num_ranks(self.group))

    def _refuse_unknown(self) -> None:
        known = {id(parameter) for parameter in self._reduced}
        for name, parameter in self.module.named_parameters():
            if parameter.requires_grad and id(parameter) not in known:
                raise ConfigurationError(
                    f"parameter '{name}' began to require a gradient after it was wrapped; wrap the module again"
                )


@torch.no_grad()
def broadcast_state(module: nn.Module, group: Group = None, source: int = 0) -> None:
    """Give the parameters and buffers of `module` the values of rank `source`."""
    pending = [
        broadcast(tensor.detach(), source, group)
        for tensor in [*module.parameters(), *module.buffers()]
        if tensor.numel()
    ]
    for each in pending:
        each.wait()
