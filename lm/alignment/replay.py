"""Replay: windows of pre-training text in every step of an alignment stage, so that the model keeps its language.

    loss of a step = the stage's own loss + replay_weight · mean nats of the windows' targets

The windows come from the training split of the token shards, in the order that pre-training with this seed has
(`lm.training.reading_order`). Without replay, a stage at usual learning rates forgets prose within a few dozen steps.
"""

from __future__ import annotations

from typing import Any

from lm.alignment.config import TuningConfig
from lm.errors import InputError
from lm.kernels.cross_entropy import linear_losses
from lm.model import TransformerLM, autocast
from lm.shards import TokenShards
from lm.storage import Artifact
from lm.training.batches import Batch, BatchLoader
from lm.training.reading_order import make_reading_order


class Replay:
    """A source of pre-training text for one model, and the gradient of its loss."""

    def __init__(
        self,
        shards: Artifact,
        model: TransformerLM,
        *,
        num_windows: int,
        weight: float,
        seed: int,
        tokenizer_digest: str | None = None,
    ) -> None:
        """Args:
            shards: token shards of the model's tokenizer; their `train` split is read.
            tokenizer_digest: refuse shards of another tokenizer.
            num_windows: windows of the model's context a step.
            weight: what the mean loss is multiplied by.

        Raises:
            InputError: shards of another tokenizer or vocabulary, or too few tokens for a window.
        """
        split = TokenShards.open(shards, "train", tokenizer_digest)
        if split.vocab_size != model.config.vocab_size:
            raise InputError(
                f"{shards.path}: vocabulary of {split.vocab_size}, expected {model.config.vocab_size} as in the model"
            )
        packing, length = ("best_fit" if model.config.separate_documents else "stream"), model.config.context_length
        order = make_reading_order(split, packing=packing, context_length=length, seed=seed)
        self._model, self._weight = model, weight
        self._loader = BatchLoader(order, batch_size=num_windows, document_masks=model.config.separate_documents)

    @classmethod
    def of(cls, config: TuningConfig, shards: Artifact, model: TransformerLM, tokenizer_digest: str) -> Replay:
        """Return the replay of a stage's configuration; errors as at construction."""
        return cls(
            shards,
            model,
            num_windows=config.replay_windows,
            weight=config.replay_weight,
            seed=config.seed,
            tokenizer_digest=tokenizer_digest,
        )

    def accumulate(self) -> float:
        """Add the gradients of the next windows' weighted loss; return their mean loss, in nats per token."""
        batch, model = self._loader.next_batch(), self._model
        with autocast(model.device, model.compute_type):
            total = self._total_nats(batch)
        added = model.auxiliary_loss() * batch.num_targets
        ((total + added) * (self._weight / batch.num_targets)).backward()
        return total.item() / batch.num_targets

    def state(self) -> dict[str, Any]:
        """Return the position of the next windows."""
        return self._loader.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state()`."""
        self._loader.restore(state)

    def _total_nats(self, batch: Batch) -> Any:
        model = self._model
        ids = batch.ids.to(model.device)
        documents = None if batch.document_ids is None else batch.document_ids.to(model.device)
        counted = None if batch.counted is None else batch.counted.to(model.device)
        hidden, targets = model.hidden(ids[:, :-1], document_ids=documents, counted=counted), ids[:, 1:]
        chosen = (hidden.flatten(0, 1), targets.flatten()) if counted is None else (hidden[counted], targets[counted])
        return linear_losses(chosen[0], model.lm_head.weight, chosen[1], soft_cap=model.config.logit_soft_cap)[0]
