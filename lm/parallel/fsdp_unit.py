"""A unit of fully sharded data parallelism: some modules, their slices, and their whole parameters while these exist.

A whole parameter is one tensor for the life of the unit, since autograd keeps it for the backward pass; what comes and
goes is its memory. Gathering fills the memory again without a new version of the tensor: autograd's check for changes
in place compares versions, and the values are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from lm.errors import ConfigurationError
from lm.parallel.collectives import Group, Pending, all_gather, num_ranks, rank_in, reduce_scatter

_preserve_version = torch.autograd._unsafe_preserve_version_counter


class _Sharded:
    """One parameter: its slice, which the optimizer moves, and the whole."""

    def __init__(self, parameter: nn.Parameter, dtype: torch.dtype, group: Group) -> None:
        ranks, rank = num_ranks(group), rank_in(group)
        self.shape, self.numel, self.chunk = parameter.shape, parameter.numel(), -(-parameter.numel() // ranks)
        self.start = min(rank * self.chunk, self.numel)
        self.end = min(self.start + self.chunk, self.numel)
        values = parameter.detach().reshape(-1)[self.start : self.end].clone()
        self.slice = nn.Parameter(values, requires_grad=parameter.requires_grad)
        self.whole = nn.Parameter(
            torch.empty(self.shape, dtype=dtype, device=parameter.device), requires_grad=parameter.requires_grad
        )
        self.owners: list[tuple[nn.Module, str]] = []


class Unit:
    """The parameters that are gathered together.

    Args:
        modules: before whose forward pass the parameters are gathered.
        holders: the modules whose own parameters are the unit's.
        dtype: of the whole parameters and of what travels; None is that of the slices.
        scale: of the summed gradients.

    Raises:
        ConfigurationError: without a `dtype`, parameters of several.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        holders: Sequence[nn.Module],
        dtype: torch.dtype | None,
        group: Group,
        scale: float,
    ) -> None:
        self.modules, self.group, self.scale = list(modules), group, scale
        self.on_backward: Callable[[Unit], None] = lambda unit: None
        self._sharded: list[_Sharded] = []
        by_parameter: dict[int, _Sharded] = {}
        for module in holders:
            for name, parameter in list(module._parameters.items()):
                if parameter is None:
                    continue
                if id(parameter) not in by_parameter:
                    made = _Sharded(parameter, dtype or parameter.dtype, group)
                    by_parameter[id(parameter)] = made
                    self._sharded.append(made)
                by_parameter[id(parameter)].owners.append((module, name))
        self.slice_of = {of: each.slice for of, each in by_parameter.items()}
        self._trained = [each for each in self._sharded if each.slice.requires_grad]
        self._gathering: tuple[Tensor, Pending] | None = None
        self._is_whole, self._holders = False, 0
        self._arrived: set[int] = set()
        self._sums: list[tuple[Tensor, Pending, list[_Sharded]]] = []
        if len(types := {each.whole.dtype for each in self._sharded}) > 1:
            raise ConfigurationError(
                f"a layer with parameters of several types ({types}), expected one or compute_dtype"
            )
        for each in self._sharded:
            each.whole.untyped_storage().resize_(0)
            if each.slice.requires_grad:
                each.whole.register_post_accumulate_grad_hook(self._on_gradient)
        self._point_to_slices()

    @property
    def is_shared(self) -> bool:
        """Return whether several modules compute with these parameters."""
        return len(self.modules) > 1

    def prefetch(self) -> None:
        """Begin to gather, unless it is done or under way."""
        if self._is_whole or self._gathering is not None:
            return
        with torch.no_grad():
            part = self._packed([each.slice for each in self._sharded], [each.chunk for each in self._sharded])
            whole = part.new_empty(len(part) * num_ranks(self.group))
            self._gathering = whole, all_gather(whole, part, self.group)

    def gather(self) -> None:
        """Wait until the whole parameters have their values."""
        if self._is_whole:
            return
        self.prefetch()
        assert self._gathering is not None
        (flat, pending), self._gathering = self._gathering, None
        pending.wait()
        rows, offset = flat.view(num_ranks(self.group), -1), 0
        with torch.no_grad(), _preserve_version(tuple(each.whole for each in self._sharded)):
            for each in self._sharded:
                each.whole.untyped_storage().resize_(each.numel * each.whole.element_size())
                values = rows[:, offset : offset + each.chunk].reshape(-1)[: each.numel]
                each.whole.copy_(values.view(each.shape))
                offset += each.chunk
        self._is_whole = True

    def install(self) -> None:
        """Gather, and give the modules the whole parameters in place of the slices."""
        self.gather()
        for each in self._sharded:
            for module, name in each.owners:
                module._parameters[name] = each.whole

    def release(self) -> None:
        """Free the whole parameters, and give the modules their slices."""
        self._point_to_slices()
        if self._holders:
            return self.install()
        self._free()
        return None

    def hold(self) -> None:
        """Keep the whole parameters until `let_go`."""
        self._holders += 1
        self.install()

    def let_go(self) -> None:
        """End a `hold`."""
        self._holders -= 1
        self.release()

    def gathered_masters(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Yield each slice and a copy of the whole in the slice's type."""
        for each in self._sharded:
            part = self._packed([each.slice], [each.chunk], each.slice.dtype)
            whole = part.new_empty(len(part) * num_ranks(self.group))
            all_gather(whole, part, self.group).wait()
            yield each.slice, whole[: each.numel].view(each.shape).clone()

    def places(self) -> Iterator[tuple[nn.Parameter, tuple[list[int], int, int]]]:
        """Yield each slice with the whole shape, the first element and the end."""
        for each in self._sharded:
            yield each.slice, (list(each.shape), each.start, each.end)

    def await_backward(self, output: Tensor) -> None:
        """Gather before the backward pass comes to this output of the unit."""
        if output.requires_grad:
            output.register_hook(self._begin_backward)

    def finish(self) -> None:
        """Add the summed gradients to the slices; parameters without a gradient keep none."""
        if self._arrived:
            self._reduce()
        for flat, pending, trained in self._sums:
            pending.wait()
            offset = 0
            for each in trained:
                summed = flat[offset : offset + each.end - each.start].to(each.slice.dtype, copy=True).mul_(self.scale)
                each.slice.grad = summed if each.slice.grad is None else each.slice.grad.add_(summed)
                offset += each.chunk
        self._sums.clear()
        if self._gathering is not None:  # for nothing: the weights are about to change
            self._gathering[1].wait()
            self._gathering = None
        self.release()

    def _begin_backward(self, gradient: Tensor) -> None:
        self.install()  # the modules too: a checkpointed layer computes again
        self.on_backward(self)

    def _on_gradient(self, whole: Tensor) -> None:
        self._arrived.add(id(whole))
        if len(self._arrived) == len(self._trained):
            self._reduce()
            # A frozen layer may still need its weights for the gradient of its input.
            if len(self._trained) == len(self._sharded):
                self.release()

    @torch.no_grad()
    def _reduce(self) -> None:
        """Begin to sum the gradients of the whole parameters into slices."""
        ranks = num_ranks(self.group)
        trained, parts = [each for each in self._trained if each.whole.grad is not None], []
        self._arrived.clear()
        for each in trained:
            gradient, each.whole.grad = each.whole.grad, None
            assert gradient is not None
            padded = gradient.new_zeros(each.chunk * ranks)
            padded[: each.numel] = gradient.reshape(-1)
            parts.append(padded.view(ranks, each.chunk))
        whole = torch.cat(parts, dim=1).view(-1)
        part = whole.new_empty(len(whole) // ranks)
        self._sums.append((part, reduce_scatter(part, whole, self.group), trained))

    def _free(self) -> None:
        for each in self._sharded:
            each.whole.untyped_storage().resize_(0)
        self._is_whole = False

    def _point_to_slices(self) -> None:
        for each in self._sharded:
            for module, name in each.owners:
                module._parameters[name] = each.slice

    def _packed(self, slices: Sequence[Tensor], chunks: Sequence[int], dtype: torch.dtype | None = None) -> Tensor:
        """Return slices in one vector, each padded to its chunk, in the type in which they travel."""
        flat = torch.zeros(sum(chunks), dtype=dtype or self._sharded[0].whole.dtype, device=slices[0].device)
        offset = 0
        for each, chunk in zip(slices, chunks, strict=True):
            flat[offset : offset + len(each)] = each.detach()
            offset += chunk
        return flat
