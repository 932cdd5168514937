"""One optimizer step, and the state that a run is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lm.errors import LoamError
from lm.kernels.cross_entropy import linear_cross_entropy
from lm.model import TransformerLM, autocast
from lm.training.batches import Batch, BatchLoader
from lm.training.config import PretrainConfig
from lm.training.muon import Muon, muon_groups
from lm.training.optimizers import AdamW, clip_gradients, decay_groups
from lm.training.schedule import cosine_schedule

_NAMED_DOCUMENTS = 8


class NonFiniteError(LoamError):
    """The loss or the gradient is no number; the weights are those of the step before."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step: mean loss in nats per token, the gradient's norm before clipping, the learning rate, tokens seen so
    far.
    """

    step: int
    loss: float
    gradient_norm: float
    learning_rate: float
    tokens: int


class Trainer:
    """Weights, moments, loader and counters: what a checkpoint saves, and the step that moves them."""

    def __init__(self, config: PretrainConfig, model: TransformerLM, loader: BatchLoader) -> None:
        self.config, self.model, self.loader = config, model, loader
        self.optimizer = make_optimizer(config, model)
        self.num_steps = config.steps(model.config.context_length)
        self.step, self.tokens = 0, 0

    def train_step(self) -> StepResult:
        """Forward, backward, clip, update.

        Raises:
            NonFiniteError: before the update; names the step and the documents.
        """
        batch = self.loader.next_batch()
        self.optimizer.zero_grad(set_to_none=True)
        losses = [self._backward(ids, batch.num_tokens) for ids in self._microbatches(batch)]
        norm = clip_gradients(self.model.parameters(), self.config.max_gradient_norm)
        *parts, norm_value = torch.stack(
            [*losses, norm.to(losses[0].device)]
        ).tolist()  # the step's one wait for the GPU
        self._refuse_non_finite(batch, parts, norm_value)
        learning_rate = self._set_learning_rate(self.step + 1)
        self.optimizer.step()
        self.step += 1
        self.tokens += batch.num_tokens
        return StepResult(self.step, math.fsum(parts), norm_value, learning_rate, self.tokens)

    def _microbatches(self, batch: Batch) -> tuple[Tensor, ...]:
        return batch.ids.split(self.config.microbatch_size or len(batch.ids))

    def _backward(self, ids: Tensor, batch_tokens: int) -> Tensor:
        """Add this microbatch's share of the gradient: its summed loss over the tokens of the whole batch."""
        ids = ids.to(self.model.device, non_blocking=True)
        with autocast(self.model.device):
            hidden = self.model.hidden(ids[:, :-1]).flatten(0, 1)
            nats = linear_cross_entropy(hidden, self.model.lm_head.weight, ids[:, 1:].flatten())
        loss = nats / batch_tokens
        loss.backward()
        return loss.detach()

    def _set_learning_rate(self, step: int) -> float:
        config = self.config
        rate = cosine_schedule(
            step, config.learning_rate, config.final_learning_rate, config.warmup_steps, self.num_steps
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _refuse_non_finite(self, batch: Batch, losses: list[float], norm: float) -> None:
        if math.isfinite(norm) and all(map(math.isfinite, losses)):
            return
        size = self.config.microbatch_size or len(batch.ids)
        bad = [i for i, loss in enumerate(losses) if not math.isfinite(loss)]
        starts = [start for i in bad for start in batch.starts[i * size : (i + 1) * size]] or list(batch.starts)
        documents = self.loader.doc_ids(torch.tensor(starts).numpy())
        more = f" and {len(documents) - _NAMED_DOCUMENTS} more" if len(documents) > _NAMED_DOCUMENTS else ""
        what = f"loss is {losses[bad[0]]}" if bad else f"gradient norm is {norm}"
        raise NonFiniteError(
            f"step {self.step + 1}: {what}, expected a finite number; stopped before the update; "
            f"documents {', '.join(documents[:_NAMED_DOCUMENTS])}{more}"
        )


def make_optimizer(config: PretrainConfig, model: TransformerLM) -> torch.optim.Optimizer:
    """The optimizer that the configuration names, over the model's weights."""
    settings: dict[str, Any] = {
        "lr": config.learning_rate,
        "betas": (config.beta1, config.beta2),
        "eps": config.epsilon,
    }
    if config.optimizer == "muon":
        return Muon(muon_groups(model, config.weight_decay), **settings)
    return AdamW(decay_groups(model, config.weight_decay), **settings)
