"""One optimizer step, and the state that a run is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.profiler import record_function

from lm.errors import NonFiniteError
from lm.model import TransformerLM, autocast
from lm.training.attention_choice import choose_attention
from lm.training.batches import Batch, Loader
from lm.training.compute import chosen_unit, prepare
from lm.training.config import PretrainConfig
from lm.training.loss_scale import LossScaler
from lm.training.muon import Muon
from lm.training.optimizers import SGD, AdamW
from lm.training.parameter_groups import make_parameter_groups, set_learning_rate
from lm.training.replicas import Replicas, make_replicas
from lm.training.schedule import scheduled_rate
from lm.training.spikes import SpikeDetector
from lm.training.tensor_split import TensorSplit

_NAMED_DOCUMENTS = 8


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step: mean loss in nats per token, the gradient's norm before clipping, the learning rate, tokens seen so
    far; where the loss was a spike, by how many deviations; why the update was left out, where it was.
    """

    step: int
    loss: float
    gradient_norm: float
    learning_rate: float
    tokens: int
    spike: float | None = None
    skipped: str | None = None
    loss_scale: float | None = None

    def row(self) -> dict[str, Any]:
        """Return the values that there are; the norm of a gradient that overflowed is none."""
        values = {name: getattr(self, name) for name in self.__slots__}
        if not math.isfinite(self.gradient_norm):
            del values["gradient_norm"]
        return {name: value for name, value in values.items() if value is not None}


class Trainer:
    """Weights, moments, loader and counters: what a checkpoint saves, and the step that moves them.

    In a process group of `torch.distributed` each process has a trainer with equal weights and a loader of its rank.
    """

    def __init__(self, config: PretrainConfig, model: TransformerLM, loader: Loader) -> None:
        self.config, self.model, self.loader = config, model, loader
        groups = make_groups(config, model)
        split = config.tensor_parallel
        self.replicas = TensorSplit(model, split) if split > 1 else make_replicas(model, config.data_parallel)
        self.optimizer = make_optimizer(config, groups, self.replicas)
        self.num_steps = config.steps(model.config.context_length)
        self.step, self.tokens, self.num_skipped = 0, 0, 0
        self.spikes = SpikeDetector(config.spike_threshold)
        self.compute_type = prepare(
            model,
            precision=config.precision,
            compile=config.compilation,
            recomputation=config.recomputation,
            fp8=config.fp8,
            residual_stream=config.residual_stream,
        )
        self.attention = choose_attention(
            model,
            batch=config.microbatch_size or config.batch_size // self.replicas.num_readers,
            documents=config.document_masks,
            deterministic=config.deterministic,
        )
        self.scaler = LossScaler() if self.compute_type == torch.float16 else None
        self.span: Callable[[str], AbstractContextManager[Any]] = record_function

    def train_step(self) -> StepResult:
        """Take one step: forward, backward, clip, update.

        Raises:
            NonFiniteError: before the update; names the step and the documents.
        """
        with self.span("data"):
            batch = self.loader.next_batch()
        self.optimizer.zero_grad(set_to_none=True)
        losses = self._backwards(batch)
        with self.span("communication"):
            self.replicas.sum_gradients()
        with self.span("clipping"):
            if self.scaler is not None:
                self.scaler.unscale(self.replicas.held.parameters())
            norm = self.replicas.clip(self.config.max_gradient_norm)
        # The step's one wait for the GPU.
        *parts, norm_value = torch.stack([*losses, norm.to(losses[0].device)]).tolist()
        loss = math.fsum(parts) if self.replicas.num_ranks == 1 else self.replicas.sum(torch.stack(losses).sum())
        scale = None if self.scaler is None else self.scaler.scale
        overflowed = not math.isfinite(norm_value)
        if not math.isfinite(loss) or (overflowed and not self._scaling_mends()):
            self._refuse(batch, parts, loss, norm_value)
        spike = self.spikes.deviations(loss)
        skipped = self._reason_to_skip(overflowed, spike)
        rate = scheduled_rate(self.config, self.step + 1, self.num_steps)
        if skipped is None:
            set_learning_rate(self.optimizer, rate)
            with self.span("optimizer"):
                self.optimizer.step()
        if self.model.config.num_experts:
            self.replicas.sum_expert_loads()
            self.model.balance_experts(moving=skipped is None)
        if self.scaler is not None:
            self.scaler.update(overflowed)
        self.step += 1
        self.tokens += batch.num_targets
        self.num_skipped += skipped is not None
        return StepResult(self.step, loss, norm_value, rate, self.tokens, spike, skipped, scale)

    @property
    def runs_by_operation(self) -> bool:
        """Return whether layers run operation by operation: neither compiled nor recomputed."""
        unit = chosen_unit(self.config.compilation, self.model.device)
        return unit == "off" and self.config.recomputation == "none"

    @contextmanager
    def named_by(self, span: Callable[[str], AbstractContextManager[Any]]) -> Iterator[None]:
        """Give the parts of steps inside of the `with` block to `span`, by name."""
        before, self.span = self.span, span
        try:
            yield
        finally:
            self.span = before

    def _scaling_mends(self) -> bool:
        return self.scaler is not None and self.scaler.scale > 1.0

    def _reason_to_skip(self, overflowed: bool, spike: float | None) -> str | None:
        if overflowed:
            return "overflow"
        return "spike" if spike is not None and self.config.skip_spikes else None

    def _microbatches(self, batch: Batch) -> list[tuple[Tensor, Tensor | None, Tensor | None]]:
        size = self.config.microbatch_size or len(batch.ids)
        ids = batch.ids.split(size)
        counted, documents = (
            [None] * len(ids) if values is None else values.split(size)
            for values in (batch.counted, batch.document_ids)
        )
        return list(zip(ids, counted, documents, strict=True))

    def _backwards(self, batch: Batch) -> list[Tensor]:
        """Add the gradients of all microbatches; returns the losses."""
        parts, losses = self._microbatches(batch), []
        for index, part in enumerate(parts):
            with self.replicas.microbatch(is_last=index == len(parts) - 1):
                losses.append(self._backward(part, batch.num_targets))
        return losses

    def _backward(self, part: tuple[Tensor, Tensor | None, Tensor | None], num_targets: int) -> Tensor:
        """Add this microbatch's share of the gradient: its summed loss over the tokens of the whole batch."""
        device, model = self.model.device, self.model
        ids, counted, documents = part
        # Found on the CPU: to look for them on the GPU would make it wait.
        chosen = None if counted is None else counted.flatten().nonzero().squeeze(1).to(device, non_blocking=True)
        ids = ids.to(device, non_blocking=True)
        if documents is not None:
            documents = documents.to(device, non_blocking=True)
        with self.span("forward, embeddings and last norm"):
            hidden = model.hidden(ids[:, :-1], document_ids=documents, counted=self._real(counted)).flatten(0, 1)
        with self.span("forward, output layer and loss"), autocast(device, self.compute_type):
            targets = ids[:, 1:].flatten()
            if chosen is not None:
                hidden, targets = hidden.index_select(0, chosen), targets.index_select(0, chosen)
            total, nats = self.replicas.losses(hidden, targets, z_loss=self.config.z_loss)
        if model.config.num_experts:
            total = total + model.auxiliary_loss() * len(targets)
        scale = 1.0 if self.scaler is None else self.scaler.scale
        with self.span("backward, embeddings and last norm"):
            (total * (scale / num_targets)).backward()
        return nats.detach() / num_targets

    def _real(self, counted: Tensor | None) -> Tensor | None:
        """Return the mask of counted targets, for the load of experts only."""
        if counted is None or not self.model.config.num_experts:
            return None
        return counted.to(self.model.device, non_blocking=True)

    def _refuse(self, batch: Batch, losses: list[float], total: float, norm: float) -> None:
        size = self.config.microbatch_size or len(batch.ids)
        bad = [i for i, loss in enumerate(losses) if not math.isfinite(loss)]
        if not bad and not math.isfinite(total):
            raise NonFiniteError(
                f"step {self.step + 1}: loss is {total} because of another process, whose message has the documents; "
                "stopped before the update"
            )
        places = [place for i in bad for place in batch.places[i * size : (i + 1) * size]] or batch.places
        documents = self.loader.doc_ids(places)
        more = f" and {len(documents) - _NAMED_DOCUMENTS} more" if len(documents) > _NAMED_DOCUMENTS else ""
        what = f"loss is {losses[bad[0]]}" if bad else f"gradient norm is {norm}"
        raise NonFiniteError(
            f"step {self.step + 1}: {what}, expected a finite number; stopped before the update; "
            f"documents {', '.join(documents[:_NAMED_DOCUMENTS])}{more}"
        )


def make_groups(config: PretrainConfig, model: TransformerLM) -> list[dict[str, Any]]:
    """Return the model's weights in the groups that the configuration names."""
    return make_parameter_groups(
        model,
        config.weight_decay,
        optimizer=config.optimizer,
        multipliers=config.learning_rate_multipliers,
        width_ratio=model.config.width_ratio,
    )


def make_optimizer(config: PretrainConfig, groups: list[dict[str, Any]], replicas: Replicas) -> torch.optim.Optimizer:
    """Return the optimizer that the configuration names, over groups of weights."""
    if config.optimizer == "sgd":
        return replicas.make_optimizer(
            SGD, groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.nesterov
        )
    settings: dict[str, Any] = {
        "lr": config.learning_rate,
        "betas": (config.beta1, config.beta2),
        "eps": config.epsilon,
        "decay_last": config.decay_last,
    }
    if config.optimizer == "muon":
        return replicas.make_optimizer(Muon, groups, momentum=config.momentum, **settings)
    return replicas.make_optimizer(AdamW, groups, **settings)
