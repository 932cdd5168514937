"""DDP whose all-reduces run while the backward pass goes on.

A hook on each parameter starts its all-reduce when autograd has accumulated its gradient (Li et al. 2020, section 3.2).
All ranks must start the same collectives in the same order, but a rank that does not use a parameter never calls its
hook. So collectives start in one fixed order: one whose turn has not come waits for those before, and
`finish_gradient_synchronization` starts the rest.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from lm.errors import ConfigurationError
from lm.parallel.collectives import Pending, all_reduce
from lm.parallel.data_parallel import DataParallel


class OverlappedDDP(DataParallel):
    """Data parallelism that starts to reduce parts of the gradient, in their order, as soon as they are complete."""

    def __init__(self, module: nn.Module, **options: Any) -> None:
        super().__init__(module, **options)
        self._parts = self._cut()
        self._part_of = {id(parameter): index for index, part in enumerate(self._parts) for parameter in part}
        self._begin_anew()
        for parameter in self._reduced:
            parameter.register_post_accumulate_grad_hook(self._on_gradient)

    def _cut(self) -> list[list[Tensor]]:
        """Return the parameters of each part, the parts in the order in which they are reduced."""
        return [[parameter] for parameter in self._reduced]

    def _start(self, index: int) -> Pending:
        """Start to reduce a part."""
        return all_reduce(self._gradient(self._parts[index][0]), self.group)

    def _end(self, index: int) -> None:
        """Put the reduced part back into the gradients."""
        self._average_(self._gradient(self._parts[index][0]))

    def _begin_anew(self) -> None:
        self._missing = [{id(parameter) for parameter in part} for part in self._parts]
        self._pending: list[Pending] = []

    def _on_gradient(self, parameter: Tensor) -> None:
        if not self._synchronizing:
            return
        index = self._part_of[id(parameter)]
        if id(parameter) not in self._missing[index]:
            self._begin_anew()
            raise ConfigurationError(
                "a second backward pass before finish_gradient_synchronization(); run all but the last under no_sync()"
            )
        self._missing[index].remove(id(parameter))
        while len(self._pending) < len(self._parts) and not self._missing[len(self._pending)]:
            self._pending.append(self._start(len(self._pending)))

    def _reduce(self) -> list[bool]:
        present = self._present()
        while len(self._pending) < len(self._parts):
            self._pending.append(self._start(len(self._pending)))
        present = self._agree_on(present)
        for index, pending in enumerate(self._pending):
            pending.wait()
            self._end(index)
        self._begin_anew()
        return present


class DDP(OverlappedDDP):
    """Data parallelism by one all-reduce a parameter, each during the rest of the backward pass."""
