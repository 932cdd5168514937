"""torch's `fully_shard` (FSDP2) with the interface of `lm.parallel.FSDP`: the same state, by torch's own gathering.

torch cuts each parameter by rows, `[ceil(rows / N) …]` on each rank but the last ones, and keeps it as a `DTensor`.
`held` is a module of the same names whose parameters are this rank's slices, flat and in the same memory: optimizers,
clipping and checkpoints work on plain tensors, as they do for `lm.parallel.FSDP`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

from lm.parallel.clipping import clip_shared_gradients
from lm.parallel.collectives import num_ranks, rank_in
from lm.parallel.data_parallel import Reduction, broadcast_state

_LISTS = (nn.ModuleList, nn.Sequential)


class FullySharded:
    """`module`, sharded in place over all ranks; the entries of its lists are gathered one by one, the rest as one.

    Args:
        module: any module; parameters become those of rank 0.
        methods: methods beside `forward` that compute with the parameters.
        reduction: gradients are averaged (mean) or added up (sum).
    """

    def __init__(self, module: nn.Module, *, methods: Sequence[str] = (), reduction: Reduction = "mean") -> None:
        self.module, self._reduction = module, reduction
        broadcast_state(module)
        self._names = {id(p): name for name, p in module.named_parameters()}
        shapes = {name: list(p.shape) for name, p in module.named_parameters()}
        mesh = init_device_mesh(next(module.parameters()).device.type, (num_ranks(),))
        for layer in [each for holder in module.modules() if isinstance(holder, _LISTS) for each in holder]:
            if not isinstance(layer, FSDPModule):
                fully_shard(layer, mesh=mesh)
        fully_shard(module, mesh=mesh)
        for method in methods:
            register_fsdp_forward_method(module, method)
        self._sharded: dict[str, Any] = dict(module.named_parameters())
        self.held = _same_names(module, self._sharded)
        self._slices = dict(self.held.named_parameters())
        self._places = {name: _place(shape) for name, shape in shapes.items()}

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the module."""
        return self.module(*arguments, **options)

    @torch.no_grad()
    def finish_gradient_synchronization(self) -> None:
        """Move the gradients, which are those of all ranks by now, to the slices in `held`; gradients there add up."""
        for name, parameter in self._sharded.items():
            if parameter.grad is None:
                continue
            gradient, slice_ = parameter.grad.to_local().reshape(-1), self._slices[name]
            if self._reduction == "sum":
                gradient = gradient * num_ranks()
            slice_.grad = gradient if slice_.grad is None else slice_.grad + gradient
            parameter.grad = None

    @torch.no_grad()
    def gather_full_parameters(self) -> dict[str, Tensor]:
        """Return copies of all whole parameters by their names in `module`; all ranks call it."""
        named: Any = self.module.named_parameters(remove_duplicate=False)
        return {name: parameter.full_tensor().detach().clone() for name, parameter in named}

    def clip_gradients(self, max_norm: float) -> Tensor:
        """Scale the gradients where their norm over all ranks exceeds `max_norm`; returns the norm before."""
        return clip_shared_gradients(self.held.parameters(), max_norm, None)

    def slices(self) -> dict[str, tuple[Sequence[int], int, int]]:
        """Return of each parameter by name the whole shape, and the first element and the end of this rank's slice."""
        return dict(self._places)

    def groups_of_slices(self, groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return groups of the parameters that the module had before, with their slices in place of them."""
        return [{**group, "params": [self._slices[self._names[id(p)]] for p in group["params"]]} for group in groups]


def _place(shape: Sequence[int]) -> tuple[Sequence[int], int, int]:
    rows, row = shape[0], int(torch.Size(shape[1:]).numel())
    most = -(-rows // num_ranks())
    start, end = (min(rank * most, rows) * row for rank in (rank_in(), rank_in() + 1))
    return shape, start, end


def _same_names(module: nn.Module, sharded: Mapping[str, Any]) -> nn.Module:
    """Return a module with the names of `module`: its buffers, and the local parts of its parameters, flat."""
    made = nn.Module()
    for name, parameter in sharded.items():
        local = parameter.detach().to_local().view(-1)
        owner, leaf = _owner(made, name)
        owner.register_parameter(leaf, nn.Parameter(local, requires_grad=parameter.requires_grad))
    kept = module.state_dict().keys()
    for name, buffer in module.named_buffers():
        owner, leaf = _owner(made, name)
        owner.register_buffer(leaf, buffer, persistent=name in kept)
    return made


def _owner(root: nn.Module, name: str) -> tuple[nn.Module, str]:
    *path, leaf = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    return root, leaf
