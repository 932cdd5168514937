"""Log-probabilities of groups of responses, each group's prompt computed once.

A prompt is often longer than its responses, and `group` of them repeat it. Here it is read once, with gradients; every
response of its group then attends to its keys and values. The numbers and gradients are those of
`sequences.batch_log_probs` on the repeated prompts, up to float rounding.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lm.alignment.sequences import SequenceBatch, batch_log_probs
from lm.model import TransformerLM
from lm.model.precision import widened
from lm.training.loss import token_losses


class _Recorder:
    """A cache that keeps what the prompts put in; right padding lies behind every prompt, so causal is mask enough."""

    length = 0

    def __init__(self) -> None:
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}
        self.states: dict[int, tuple[Tensor, ...]] = {}

    def mask(self, num_queries: int) -> None:
        return None

    def update(self, layer_index: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        self.layers[layer_index] = (k, v)
        return k, v

    def advance(self, num_tokens: int) -> None:
        return None


class _Continuation:
    """A cache in which every response of a group finds its prompt, without the padding, and its own tokens so far."""

    def __init__(self, prompts: _Recorder, prompt_mask: Bool[Tensor, "prompts prefix"], group_size: int) -> None:
        self._prompts, self._group_size = prompts, group_size
        self._prompt_mask = prompt_mask.repeat_interleave(group_size, dim=0)[:, None, None]
        self.length = prompt_mask.shape[1]
        self.states: dict[int, tuple[Tensor, ...]] = {}

    def mask(self, num_queries: int) -> Bool[Tensor, "rows 1 queries keys"]:
        rows = len(self._prompt_mask)
        own = torch.ones(num_queries, num_queries, dtype=torch.bool, device=self._prompt_mask.device).tril()
        return torch.cat(
            [self._prompt_mask.expand(rows, 1, num_queries, -1), own.expand(rows, 1, num_queries, -1)], dim=-1
        )

    def update(self, layer_index: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        before = (part.repeat_interleave(self._group_size, dim=0) for part in self._prompts.layers[layer_index])
        return tuple(torch.cat([old, new], dim=2) for old, new in zip(before, (k, v), strict=True))  # type: ignore[return-value]

    def advance(self, num_tokens: int) -> None:
        return None


def group_log_probs(
    model: TransformerLM, batch: SequenceBatch, group_size: int, temperature: float = 1.0
) -> Float[Tensor, "rows targets"]:
    """Return log p(token | what came before) of every response token, in float32; 0 elsewhere.

    The rows of the batch are groups of `group_size` that share a prompt of at least two tokens. A state-space layer
    would remember the padding behind a prompt, so a model that has one reads the repeated prompts.
    """
    if model.config.num_layers_of("ssm"):
        return batch_log_probs(model, batch, temperature)
    starts = batch.response_mask.int().argmax(
        dim=1
    )  # the prompt's last token, whose target is the first response token
    prefix, prefix_mask = _prefixes(batch, starts[::group_size], group_size)
    prompts = _Recorder()
    model.hidden(prefix, kv_cache=prompts, counted=prefix_mask)
    places = starts[:, None] + torch.arange(int((batch.lengths() - starts).max()), device=starts.device)
    inside = places < batch.response_mask.shape[1]
    places = places.where(inside, 0)
    mask = batch.response_mask.gather(1, places) & inside
    hidden = model.hidden(
        batch.ids.gather(1, places),
        positions=starts[:, None] + torch.arange(places.shape[1], device=starts.device).where(inside, 0),
        kv_cache=_Continuation(prompts, prefix_mask, group_size),
        counted=mask,
    )
    logits = widened(model.logits(hidden[mask])) / temperature
    log_probs = -token_losses(logits, batch.targets.gather(1, places)[mask])
    dense = torch.zeros(batch.response_mask.shape, dtype=log_probs.dtype, device=log_probs.device)
    return dense.masked_scatter(batch.response_mask, log_probs)


def _prefixes(
    batch: SequenceBatch, starts: Int[Tensor, " prompts"], group_size: int
) -> tuple[Int[Tensor, "prompts prefix"], Bool[Tensor, "prompts prefix"]]:
    """Return each group's prompt without its last token, and where it is not padding."""
    width = int(starts.max())
    mask = torch.arange(width, device=starts.device) < starts[:, None]
    return batch.ids[::group_size, :width].where(mask, 0), mask
