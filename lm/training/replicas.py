"""Ranks that train one model: sums of their gradients, and the part of the state that each keeps.

Every loss is divided by the targets of the whole batch (`Batch.num_targets`), so gradients and losses are added up over
the ranks, and the sums are those of one process.

    ddp      every rank has all weights and all moments
    zero1    moments and updates are shared out, whole weights each (`lm.parallel.ShardedOptimizer`)
    zero2    gradients too (`lm.parallel.ShardedGradients`)
    fsdp     weights, gradients and moments in slices; a layer is whole while it computes (`lm.parallel.FSDP`)
    fully_shard    the same by torch's own `fully_shard` (`lm.parallel.FullySharded`)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from lm.kernels.cross_entropy import linear_losses
from lm.model import TransformerLM
from lm.model.moe import MixtureOfExperts
from lm.parallel.collectives import all_reduce, num_ranks, rank_in, sum_over_ranks
from lm.parallel.ddp_bucketed import BucketedDDP
from lm.parallel.ddp_overlapped import OverlappedDDP
from lm.parallel.fsdp import FSDP
from lm.parallel.fully_sharded import FullySharded
from lm.parallel.sharded_gradients import ShardedGradients
from lm.parallel.sharded_optimizer import ShardedOptimizer
from lm.training.clipping import clip_gradients
from lm.training.muon import Muon
from lm.training.sliced_muon import SlicedMuon
from lm.training.state_parts import NO_SLICES, Slices

BUCKET_MB = 25


class Replicas:
    """Whole models on all ranks of the default group; in one process without a group nothing is sent.

    Args:
        shares_moments: zero1 or zero2 in place of ddp.
        wraps: sums all gradients on all ranks, in buckets.
    """

    def __init__(self, model: TransformerLM, *, shares_moments: bool = False, wraps: bool = True) -> None:
        self.model, self.num_ranks, self.rank = model, num_ranks(), rank_in()
        self.shares_moments = shares_moments and self.num_ranks > 1
        self._ddp: OverlappedDDP | None = None
        if wraps and self.num_ranks > 1:
            self._ddp = BucketedDDP(model, BUCKET_MB, reduction="sum")

    @property
    def shares_state(self) -> bool:
        """Return whether a checkpoint needs a part of every rank."""
        return self.shares_moments

    @property
    def keeps_state(self) -> bool:
        """Return whether what this rank holds belongs into a checkpoint; false for a copy of another rank's part."""
        return True

    @property
    def num_readers(self) -> int:
        """Return the number of parts that a batch is cut into."""
        return self.num_ranks

    def make_optimizer(
        self, kind: type[torch.optim.Optimizer], groups: list[dict[str, Any]], **settings: Any
    ) -> torch.optim.Optimizer:
        """Return an optimizer of this class, with this rank's share of its state."""
        return ShardedOptimizer(groups, kind, **settings) if self.shares_moments else kind(groups, **settings)

    def microbatch(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Add to this rank's gradients in a backward pass within the block; the last one begins to sum them."""
        return contextlib.nullcontext() if is_last or self._ddp is None else self._ddp.no_sync()

    def sum_gradients(self) -> None:
        """Wait until every gradient is the sum over all ranks."""
        if self._ddp is not None:
            self._ddp.finish_gradient_synchronization()

    def clip(self, max_norm: float) -> Tensor:
        """Clip the gradients by their norm over all weights; returns the norm before."""
        return clip_gradients(self.model.parameters(), max_norm)

    def losses(self, hidden: Tensor, targets: Tensor, *, z_loss: float) -> tuple[Tensor, Tensor]:
        """Return the sum of the losses with the z-loss, and the sum without it, in nats."""
        cap = self.model.config.logit_soft_cap
        return linear_losses(hidden, self.output_weight(), targets, soft_cap=cap, z_loss=z_loss)

    def output_weight(self) -> Tensor:
        """Return the weight of the output layer, for a product outside of the layer."""
        return self.model.lm_head.weight

    def sum(self, value: Tensor) -> float:
        """Return the sum of a number over all ranks."""
        return float(sum_over_ranks(value))

    @torch.no_grad()
    def sum_expert_loads(self) -> None:
        """Add up the loads of experts, by which each rank then moves the same biases."""
        loads = [module.load for module in self.model.modules() if isinstance(module, MixtureOfExperts)]
        if loads and self.num_ranks > 1:
            together = torch.cat(loads)
            all_reduce(together).wait()
            torch._foreach_copy_(loads, list(together.split([len(load) for load in loads])))

    @contextlib.contextmanager
    def whole_model(self) -> Iterator[TransformerLM]:
        """Give the model all its weights within the block, on all ranks together."""
        yield self.model

    @property
    def held(self) -> nn.Module:
        """Return what this rank keeps of the model: a module whose parameters the optimizer moves."""
        return self.model

    def slices(self) -> Slices:
        """Return of each weight that this rank keeps a slice of: the whole shape, and the place of the slice."""
        return NO_SLICES


class OwnedGradients(Replicas):
    """Whole weights on all ranks; of each weight one rank has the gradient and the moments."""

    def __init__(self, model: TransformerLM) -> None:
        super().__init__(model, shares_moments=True, wraps=False)
        self._owned: ShardedGradients | None = None

    def make_optimizer(
        self, kind: type[torch.optim.Optimizer], groups: list[dict[str, Any]], **settings: Any
    ) -> torch.optim.Optimizer:
        made = ShardedOptimizer(groups, kind, **settings)
        self._ddp = self._owned = ShardedGradients(self.model, made, bucket_size_mb=BUCKET_MB, reduction="sum")
        return made

    def clip(self, max_norm: float) -> Tensor:
        assert self._owned is not None
        return self._owned.clip_gradients(max_norm)


class LoamSlices(Replicas):
    """Slices of the model's weights on all ranks of the default group."""

    def __init__(self, model: TransformerLM) -> None:
        super().__init__(model, wraps=False)
        self._fsdp = FSDP(model, reduction="sum")

    @property
    def shares_state(self) -> bool:
        return True

    def make_optimizer(
        self, kind: type[torch.optim.Optimizer], groups: list[dict[str, Any]], **settings: Any
    ) -> torch.optim.Optimizer:
        sliced = self._fsdp.groups_of_slices(groups)
        if issubclass(kind, Muon):
            named, places = dict(self.model.named_parameters()), self._fsdp.slices()
            return SlicedMuon(sliced, places={id(named[name]): places[name] for name in named}, **settings)
        return kind(sliced, **settings)

    def sum_gradients(self) -> None:
        self._fsdp.finish_gradient_synchronization()

    def clip(self, max_norm: float) -> Tensor:
        return self._fsdp.clip_gradients(max_norm)

    def output_weight(self) -> Tensor:
        self._fsdp.use(self._fsdp.unit_of(self.model.lm_head))
        return self.model.lm_head.weight

    @contextlib.contextmanager
    def whole_model(self) -> Iterator[TransformerLM]:
        with self._fsdp.full_parameters():
            yield self.model

    def slices(self) -> Slices:
        return self._fsdp.slices()


class TorchSlices(Replicas):
    """Slices of the model's weights, gathered by torch's `fully_shard`."""

    def __init__(self, model: TransformerLM) -> None:
        super().__init__(model, wraps=False)
        self._sharded = FullySharded(model, methods=("hidden",), reduction="sum")

    @property
    def shares_state(self) -> bool:
        return True

    @property
    def held(self) -> nn.Module:
        return self._sharded.held

    def make_optimizer(
        self, kind: type[torch.optim.Optimizer], groups: list[dict[str, Any]], **settings: Any
    ) -> torch.optim.Optimizer:
        sliced = self._sharded.groups_of_slices(groups)
        if issubclass(kind, Muon):
            named, places = dict(self.held.named_parameters()), self._sharded.slices()
            return SlicedMuon(
                sliced, places={id(named[name]): places[name] for name in named}, by_rows=True, **settings
            )
        return kind(sliced, **settings)

    def sum_gradients(self) -> None:
        self._sharded.finish_gradient_synchronization()

    def clip(self, max_norm: float) -> Tensor:
        return self._sharded.clip_gradients(max_norm)

    @contextlib.contextmanager
    def whole_model(self) -> Iterator[TransformerLM]:
        yield whole_twin(self.model, self._sharded.gather_full_parameters())

    def slices(self) -> Slices:
        return self._sharded.slices()


@torch.no_grad()
def whole_twin(model: TransformerLM, weights: Mapping[str, Tensor]) -> TransformerLM:
    """Return a model of the same shape and types with these weights, and with the buffers of `model`."""
    with torch.random.fork_rng(devices=[]):
        twin = TransformerLM(model.config).to(model.device)
    twin.compute_type, twin.stream_type = model.compute_type, model.stream_type
    for name, parameter in twin.named_parameters(remove_duplicate=False):
        parameter.copy_(weights[name])
    buffers = dict(model.named_buffers())
    for name, buffer in twin.named_buffers():
        buffer.copy_(buffers[name])
    return twin


def make_replicas(model: TransformerLM, strategy: str) -> Replicas:
    """Return the way of the ranks to share the work: `strategy` is `data_parallel` of the configuration."""
    if strategy == "fsdp" and num_ranks() > 1:
        return LoamSlices(model)
    if strategy == "fully_shard" and num_ranks() > 1:
        return TorchSlices(model)
    if strategy == "zero2" and num_ranks() > 1:
        return OwnedGradients(model)
    return Replicas(model, shares_moments=strategy == "zero1")
