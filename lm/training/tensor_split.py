"""Data × tensor parallelism of a run: each model is split over neighbouring ranks, and the models are replicas.

Of N ranks, T neighbours share one model and read the same batches (`lm.parallel.TensorParallel`); the N / T models
read a part of each batch, and gradients are added up over the ranks that keep the same part of a model. A checkpoint
holds one model's parts; a reader cuts them anew for any number of ranks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from lm.model import TransformerLM
from lm.parallel.collectives import num_ranks, rank_in, sum_over_ranks
from lm.parallel.data_parallel import broadcast_state
from lm.parallel.ddp_bucketed import BucketedDDP
from lm.parallel.tensor import TensorParallel, grid
from lm.parallel.vocabulary import copied, vocab_parallel_losses
from lm.training.replicas import BUCKET_MB, Replicas, whole_twin
from lm.training.state_parts import Place


class TensorSplit(Replicas):
    """A model split over `tensor_ranks` neighbours, once for each group of them.

    Raises:
        ConfigurationError: ranks that `tensor_ranks` does not divide, or a model that cannot be split so.
    """

    def __init__(self, model: TransformerLM, tensor_ranks: int) -> None:
        super().__init__(model, wraps=False)
        broadcast_state(model)
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._shapes = {name: list(parameter.shape) for name, parameter in model.named_parameters()}
        self._data, self._tensor = grid(tensor_ranks)
        self._parallel = TensorParallel(model, self._tensor)
        if num_ranks(self._data) > 1:
            self._ddp = BucketedDDP(model, BUCKET_MB, group=self._data, reduction="sum")

    @property
    def shares_state(self) -> bool:
        return True

    @property
    def keeps_state(self) -> bool:
        return rank_in(self._data) == 0

    @property
    def num_readers(self) -> int:
        return num_ranks(self._data)

    def make_optimizer(
        self, kind: type[torch.optim.Optimizer], groups: list[dict[str, Any]], **settings: Any
    ) -> torch.optim.Optimizer:
        own = dict(self.model.named_parameters())
        parts = [{**group, "params": [own[self._names[id(whole)]] for whole in group["params"]]} for group in groups]
        return kind(parts, **settings)

    def losses(self, hidden: Tensor, targets: Tensor, *, z_loss: float) -> tuple[Tensor, Tensor]:
        logits = self.model.logits(copied(hidden, self._tensor))
        nats = vocab_parallel_losses(logits, targets, self._tensor).sum()
        return nats, nats

    def clip(self, max_norm: float) -> Tensor:
        return self._parallel.clip_gradients(max_norm)

    def sum(self, value: Tensor) -> float:
        return float(sum_over_ranks(value, self._data))

    @contextlib.contextmanager
    def whole_model(self) -> Iterator[TransformerLM]:
        yield whole_twin(self.model, self._parallel.gather_full_parameters())

    def slices(self) -> Mapping[str, Place]:
        places: dict[str, Place] = {}
        for name, axis in self._parallel.split_axes.items():
            if (shape := self._shapes.get(name)) is not None:
                size = shape[axis] // num_ranks(self._tensor)
                places[name] = (shape, rank_in(self._tensor) * size, (rank_in(self._tensor) + 1) * size, axis)
        return places
