"""ZeRO stage 1: the optimizer's state partitioned over the ranks (Rajbhandari et al. 2020, section 5.1).

Each parameter has one owner among the ranks. Only the owner keeps its moments and moves it; then the owner broadcasts
its parameters, all of a dtype as one vector. A step sends (N − 1)/N of the parameters' bytes per rank, on average.

Whole parameters have an owner, not slices: any optimizer class works, also one that needs whole matrices (Muon) or
their rows and columns (Adafactor). The balance is by bytes, so it is off by at most the largest parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lm.errors import InputError
from lm.parallel.collectives import Group, broadcast, num_ranks, rank_in
from lm.parallel.ddp_flat import by_dtype
from lm.parallel.flat import flattened, unflatten_into


class ShardedOptimizer(torch.optim.Optimizer):
    """An optimizer of the class `optimizer_cls` of which each rank runs a part.

    `param_groups` has all parameters and settings (a schedule changes them here), `state` only this rank's. Gradients
    must be equal on all ranks, as after `finish_gradient_synchronization`; only those of the owner are read.

    Args:
        params: parameters or groups of them, the same on every rank in the same order.
        optimizer_cls: any class of `torch.optim` or another one with its interface.
        group: the ranks that share the state; None is all.
        kwargs: settings of `optimizer_cls`.
    """

    def __init__(
        self, params: Iterable[Any], optimizer_cls: type[torch.optim.Optimizer], *, group: Group = None, **kwargs: Any
    ) -> None:
        self.group, self._class, self._settings = group, optimizer_cls, kwargs
        self._owners: dict[int, int] = {}
        self._owned_bytes = [0] * num_ranks(group)
        self._local: torch.optim.Optimizer | None = None
        super().__init__(params, dict(kwargs))
        self._local = self._class([self._part(group) for group in self.param_groups], **self._settings)
        self._adopt()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, also during training; each goes to the rank with the fewest bytes so far."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for parameter in sorted(group["params"], key=_num_bytes, reverse=True):
            owner = self._owned_bytes.index(min(self._owned_bytes))
            self._owners[id(parameter)] = owner
            self._owned_bytes[owner] += _num_bytes(parameter)
        if self._local is not None:
            self._local.add_param_group(self._part(group))
            self._adopt()

    def owner_of(self, parameter: Tensor) -> int:
        """Return the rank, within the group, that keeps the parameter's state."""
        return self._owners[id(parameter)]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None, **kwargs: Any) -> float | None:  # type: ignore[override]
        """Move the own parameters and exchange them; returns what `closure` returned."""
        assert self._local is not None
        for local, whole in zip(self._local.param_groups, self.param_groups, strict=True):
            local.update((name, value) for name, value in whole.items() if name != "params")
        loss: float | None = self._local.step(closure, **kwargs) if closure else self._local.step(**kwargs)
        self._adopt()
        self._exchange()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the settings of all groups and the state of this rank's parameters, under their numbers in the whole.

        `merged_state` joins those of all ranks into what a single `optimizer_cls` would have returned.
        """
        number = self._numbers()
        groups = [
            {**{name: value for name, value in group.items() if name != "params"}, "params": numbers}
            for group, numbers in zip(self.param_groups, self._numbers_by_group(), strict=True)
        ]
        state = {number[id(parameter)]: dict(kept) for parameter, kept in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take this rank's part of a state: of a whole one, or of one that this rank saved at the same number of ranks.

        Raises:
            InputError: other groups than this optimizer's, or a state that lacks some of this rank's parameters.
        """
        assert self._local is not None
        saved, number = state_dict["param_groups"], self._numbers()
        if [len(group["params"]) for group in saved] != [len(group["params"]) for group in self.param_groups]:
            raise InputError("a sharded optimizer's state: its groups have other parameters than this optimizer's")
        states = dict(zip(_flat(saved), (state_dict["state"].get(name) for name in _flat(saved)), strict=True))
        names = dict(zip(number.values(), _flat(saved), strict=True))
        own = [parameter for group in self._local.param_groups for parameter in group["params"]]
        found = {index: states[names[number[id(parameter)]]] for index, parameter in enumerate(own)}
        missing = [names[number[id(own[index])]] for index, kept in found.items() if kept is None]
        if missing and any(states.values()):
            raise InputError(
                f"a sharded optimizer's state: it lacks parameter {missing[0]} ({len(missing)} of {len(own)} of rank "
                f"{rank_in(self.group)}); expected the state of all ranks, joined by merged_state"
            )
        numbering = iter(range(len(own)))
        groups = [
            {**settings, "params": [next(numbering) for _ in local["params"]]}
            for settings, local in zip(saved, self._local.param_groups, strict=True)
        ]
        self._local.load_state_dict({"state": {i: kept for i, kept in found.items() if kept}, "param_groups": groups})
        self._adopt()

    def _adopt(self) -> None:
        """Take over the state and the settings of the part, among them those that the class has added."""
        assert self._local is not None
        self.state = self._local.state
        for whole, local in zip(self.param_groups, self._local.param_groups, strict=True):
            whole.update((name, value) for name, value in local.items() if name != "params")

    def _part(self, group: Mapping[str, Any]) -> dict[str, Any]:
        own = [p for p in group["params"] if self._owners[id(p)] == rank_in(self.group)]
        return {**group, "params": own}

    def _exchange(self) -> None:
        pending = []
        for owner in range(num_ranks(self.group)):
            owned = [p for group in self.param_groups for p in group["params"] if self._owners[id(p)] == owner]
            for same in by_dtype(owned):
                flat = flattened(same)
                pending.append((owner, flat, same, broadcast(flat, owner, self.group)))
        for owner, flat, same, sending in pending:
            sending.wait()
            if owner != rank_in(self.group):
                unflatten_into(flat, same)

    def _numbers(self) -> dict[int, int]:
        """Return the number of each parameter, as `torch.optim` counts them."""
        return {
            id(parameter): number
            for number, parameter in enumerate(p for group in self.param_groups for p in group["params"])
        }

    def _numbers_by_group(self) -> list[list[int]]:
        number = self._numbers()
        return [[number[id(parameter)] for parameter in group["params"]] for group in self.param_groups]


def merged_state(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the whole state out of the `state_dict` of every rank; fits any number of ranks, and no sharding too."""
    state: dict[int, Any] = {}
    for part in parts:
        state.update(part["state"])
    return {"state": dict(sorted(state.items())), "param_groups": parts[0]["param_groups"]}


def _num_bytes(parameter: Tensor) -> int:
    return parameter.numel() * parameter.element_size()


def _flat(groups: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [number for group in groups for number in group["params"]]
