"""Exchanges as padded batches, and the log-probabilities of their responses.

Padding is on the right and carries no loss; no token of a causal model attends to it, so a padded batch gives each
row's own numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lm.alignment.log_probs import CausalLM, logits_of, response_log_probs
from lm.chat.template import ChatExample
from lm.errors import InputError
from lm.model import TransformerLM


@dataclass(frozen=True, slots=True)
class SequenceBatch:
    """Rows of ids; `response_mask[b, t]` says whether `ids[b, t + 1]`, the target of position t, belongs to the
    response."""

    ids: Int[Tensor, "batch seq"]
    response_mask: Bool[Tensor, "batch targets"]

    @property
    def targets(self) -> Int[Tensor, "batch targets"]:
        """The next token of every position but the last."""
        return self.ids[:, 1:]

    def select(self, rows: Int[Tensor, " rows"]) -> SequenceBatch:
        """Return these rows, cut to the longest of them."""
        mask = self.response_mask[rows]
        width = int(mask.any(dim=0).nonzero()[-1]) + 1
        return SequenceBatch(self.ids[rows, : width + 1], mask[:, :width])

    def lengths(self) -> Int[Tensor, " batch"]:
        """Return the number of targets of each row up to the end of its response."""
        places = torch.arange(1, self.response_mask.shape[1] + 1, device=self.ids.device)
        return (self.response_mask * places).amax(dim=1)

    def input_mask(self) -> Bool[Tensor, "batch targets"]:
        """Return whether a token is an input rather than padding."""
        return torch.arange(self.response_mask.shape[1], device=self.ids.device) < self.lengths()[:, None]


def pad(examples: Sequence[ChatExample], device: torch.device) -> SequenceBatch:
    """Return the examples as one batch, padded with id 0 to the longest."""
    longest = max(len(example.token_ids) for example in examples)
    ids = torch.zeros((len(examples), longest), dtype=torch.long)
    mask = torch.zeros((len(examples), longest - 1), dtype=torch.bool)
    for row, example in enumerate(examples):
        length = len(example.token_ids)
        ids[row, :length] = torch.tensor(example.token_ids)
        mask[row, example.num_prompt_tokens - 1 : length - 1] = True
    return SequenceBatch(ids.to(device), mask.to(device))


def batch_log_probs(model: CausalLM, batch: SequenceBatch, temperature: float = 1.0) -> Float[Tensor, "batch targets"]:
    """Return `response_log_probs` of every response token of the batch; 0 elsewhere."""
    return response_log_probs(
        model,
        batch.ids[:, :-1],
        batch.targets,
        temperature=temperature,
        mask=batch.response_mask,
        counted=batch.input_mask(),
    )["log_probs"]


def response_logits(model: CausalLM, batch: SequenceBatch) -> Float[Tensor, "tokens vocab"]:
    """Return the logits of every response token, row by row; Loam's output layer computes no others."""
    if isinstance(model, TransformerLM):
        hidden = model.hidden(batch.ids[:, :-1], counted=batch.input_mask())
        logits: Tensor = model.logits(hidden[batch.response_mask])
        return logits
    return logits_of(model, batch.ids[:, :-1])[batch.response_mask]


def shuffled_batches(num_items: int, batch_size: int, seed: int) -> Iterator[list[int]]:
    """Yield indices in batches without end: each epoch a new order, its last batch filled up from the next epoch.

    Raises:
        InputError: there are no items.
    """
    generator = torch.Generator().manual_seed(seed)
    waiting: list[int] = []
    if num_items < 1:
        raise InputError("no examples to draw batches from, expected at least 1")
    while True:
        while len(waiting) < batch_size:
            waiting += torch.randperm(num_items, generator=generator).tolist()
        yield waiting[:batch_size]
        del waiting[:batch_size]
