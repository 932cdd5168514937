"""Fully sharded data parallelism (ZeRO-3, Rajbhandari et al. 2020; FSDP, Zhao et al. 2023), written out.

Each rank keeps a slice of every parameter, its gradient and its moments. A unit is a layer with its parameters; just
before a unit computes, its slices are gathered into whole parameters, and afterwards these are freed. The backward pass
gathers them again, and sums the gradients while it scatters them into the slices.

    forward   gather unit i + 2 ┆ compute unit i ┆ free unit i
    backward  gather unit i − 2 ┆ compute unit i ┆ reduce-scatter the gradients of unit i, free unit i

Units are the modules in lists (`nn.ModuleList`, `nn.Sequential`) and, elsewhere, the modules that have parameters of
their own; units that share a parameter are one. All ranks run the same modules in the same order. Slices are float32,
or whatever the module has. With `compute_dtype` parameters travel and compute in that type; gradients are summed in
that type and added to slices in the masters' type.

torch's own `fully_shard` does the same in production; this one shows how, and is tested against one process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lm.parallel.clipping import clip_shared_gradients
from lm.parallel.collectives import Group, num_ranks
from lm.parallel.data_parallel import Reduction, broadcast_state
from lm.parallel.fsdp_unit import Unit

_AHEAD = 2
"""Units that are gathered before they compute."""
_LISTS = (nn.ModuleList, nn.Sequential, nn.ModuleDict)


class FSDP(nn.Module):
    """A container of `module` whose parameters are slices, `[ceil(numel / N)]` or less, for any elementwise optimizer.

    A step is forward, backward, `finish_gradient_synchronization()`, optimizer. Gradients of several backward passes
    are added up in the slices; `no_sync` is not needed.

    Args:
        module: any module; parameters become those of rank 0. It must not be used under its own name any more.
        compute_dtype: the type of gathered parameters and of floating-point inputs; None keeps the module's.
        group: the ranks that share the parameters; None is all.
        reduction: gradients are averaged (mean) or added up (sum).
    """

    def __init__(
        self,
        module: nn.Module,
        compute_dtype: torch.dtype | None = None,
        *,
        group: Group = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        self.module, self.group, self.compute_dtype = module, group, compute_dtype
        broadcast_state(module, group)
        scale = 1 / num_ranks(group) if reduction == "mean" else 1.0
        self.units = [Unit(*found, compute_dtype, group, scale) for found in _units_of(module)]
        self._forward_order: list[Unit] = []
        for unit in self.units:
            for each in unit.modules:
                each.register_forward_pre_hook(self._before(unit), prepend=True, with_kwargs=True)
                each.register_forward_hook(self._after(unit), always_call=True)
            unit.on_backward = self._before_backward

    def forward(self, *arguments: Any, **options: Any) -> Any:
        """Call the module with floating-point arguments in the compute type."""
        return self.module(*_cast(arguments, self.compute_dtype), **_cast(options, self.compute_dtype))

    @torch.no_grad()
    def finish_gradient_synchronization(self) -> None:
        """Wait until the gradients of all slices are those of all ranks."""
        for unit in self.units:
            unit.finish()
        self._forward_order.clear()

    @contextmanager
    def full_parameters(self) -> Iterator[nn.Module]:
        """Give `module` its whole parameters within the block, on all ranks together; changes to them are lost."""
        for unit in self.units:
            unit.hold()
        try:
            yield self.module
        finally:
            for unit in self.units:
                unit.let_go()

    @torch.no_grad()
    def gather_full_parameters(self) -> dict[str, Tensor]:
        """Return copies of all whole parameters by their names in `module`, in the masters' type; all ranks call it."""
        whole = {id(slice_): tensor for unit in self.units for slice_, tensor in unit.gathered_masters()}
        return {name: whole[id(p)] for name, p in self.module.named_parameters(remove_duplicate=False)}

    def clip_gradients(self, max_norm: float) -> Tensor:
        """Scale the gradients where their norm over all ranks exceeds `max_norm`; returns the norm before."""
        return clip_shared_gradients(self.module.parameters(), max_norm, self.group)

    def slices(self) -> dict[str, tuple[Sequence[int], int, int]]:
        """Return of each parameter by name the whole shape, and the first element and the end of this rank's slice."""
        places = {id(slice_): place for unit in self.units for slice_, place in unit.places()}
        return {name: places[id(p)] for name, p in self.module.named_parameters(remove_duplicate=False)}

    def groups_of_slices(self, groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return groups of the parameters that the module had before, with their slices in place of them."""
        slice_of = {of: slice_ for unit in self.units for of, slice_ in unit.slice_of.items()}
        return [{**group, "params": [slice_of[id(parameter)] for parameter in group["params"]]} for group in groups]

    def unit_of(self, module: nn.Module) -> Unit:
        """Return the unit that a module computes in."""
        return next(unit for unit in self.units if any(module is each for each in unit.modules))

    def _before(self, unit: Unit) -> Callable[..., Any]:
        def gather(module: nn.Module, arguments: Any, options: Any) -> Any:
            self.use(unit)
            if self.compute_dtype is None:
                return None
            return _cast(arguments, self.compute_dtype), _cast(options, self.compute_dtype)

        return gather

    def use(self, unit: Unit) -> None:
        """Give the unit's modules their whole parameters, and begin to gather the units that are defined next."""
        unit.install()
        if not any(unit is each for each in self._forward_order):
            self._forward_order.append(unit)
        for coming in _following(self.units, unit):
            coming.prefetch()

    def _after(self, unit: Unit) -> Callable[..., Any]:
        def free(module: nn.Module, arguments: Any, output: Any) -> None:
            if torch.is_grad_enabled():
                for tensor in _tensors(output):
                    unit.await_backward(tensor)
            if not (torch.is_grad_enabled() and unit.is_shared):
                unit.release()

        return free

    def _before_backward(self, unit: Unit) -> None:
        """Begin to gather the units whose gradients come next: those before this one in the forward pass."""
        for coming in _following(self._forward_order[::-1], unit):
            coming.prefetch()


def _following(order: Sequence[Unit], unit: Unit) -> Sequence[Unit]:
    index = next((index for index, each in enumerate(order) if each is unit), len(order))
    return order[index + 1 : index + 1 + _AHEAD]


def _units_of(module: nn.Module) -> list[tuple[list[nn.Module], list[nn.Module]]]:
    """Return of each unit the modules that gather it, and those that hold its parameters."""
    units: list[tuple[list[nn.Module], list[nn.Module]]] = []
    for gathering, holding in _layers(module):
        owned = {id(parameter) for each in holding for parameter in each._parameters.values() if parameter is not None}
        sharing = [unit for unit in units if owned & {id(p) for each in unit[1] for p in each._parameters.values()}]
        for unit in sharing:
            units.remove(unit)
        joined = [*sharing, ([gathering], holding)]
        units.append(([m for unit in joined for m in unit[0]], [m for unit in joined for m in unit[1]]))
        if sharing:  # it is needed as early as the first of those that share
            units.insert(0, units.pop())
    return units


def _layers(module: nn.Module, listed: bool = False) -> Iterator[tuple[nn.Module, list[nn.Module]]]:
    """Yield the modules with parameters that are gathered as one: all below a list's entry, else a module's own."""
    if listed and not isinstance(module, _LISTS):
        if holding := [each for each in module.modules() if any(True for _ in each.parameters(recurse=False))]:
            yield module, holding
        return
    if any(True for _ in module.parameters(recurse=False)):
        yield module, [module]
    for child in module.children():
        yield from _layers(child, isinstance(module, _LISTS))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))


def _cast(value: Any, dtype: torch.dtype | None) -> Any:
    """Return the value with its floating-point tensors in another type."""
    if dtype is None:
        return value
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(_cast(each, dtype) for each in value)
    return {name: _cast(each, dtype) for name, each in value.items()} if isinstance(value, dict) else value
