"""Log-probabilities and entropies of tokens under any causal language model.

A model is whatever `CausalLM` describes: a call with ids gives logits, as a tensor or as an object with a field
`logits`. Loam's Transformer is one, a PyTorch module of one's own is one, and so is a causal model of `transformers`.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lm.errors import InputError
from lm.model import TransformerLM
from lm.model.precision import widened
from lm.training.loss import token_losses


class HasLogits(Protocol):
    """The output of a model of `transformers`."""

    @property
    def logits(self) -> Any:
        """The logits, `[batch seq vocab]`."""


@runtime_checkable
class CausalLM(Protocol):
    """A causal language model: `model(ids)` of `[batch seq]` gives logits `[batch seq vocab]` of each next token.

    The logits at a position depend on ids up to that position alone, so padding on the right needs no mask.
    """

    def __call__(self, ids: Any, /) -> Any:
        """Return the logits, or an object whose field `logits` has them."""


def logits_of(model: CausalLM, ids: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq vocab"]:
    """Return the logits of the token after each of `ids`.

    Raises:
        InputError: the model returned something else than logits of this shape.
    """
    output = model(ids)
    logits = getattr(output, "logits", output)
    if not isinstance(logits, Tensor) or logits.shape[:-1] != ids.shape:
        found = list(logits.shape) if isinstance(logits, Tensor) else type(output).__name__
        raise InputError(f"model: {found} for ids {list(ids.shape)}, expected logits {[*ids.shape, 'vocab']}")
    return logits


def token_entropy(logits: Float[Tensor, "*axes vocab"]) -> Float[Tensor, "*axes"]:
    """Return H = − Σ p log p of each position's next token, in nats, with p = softmax(logits).

    At least float32. A logit of −∞ is a token of probability 0 and adds 0.
    """
    log_probs = torch.log_softmax(widened(logits), dim=-1)
    return -(log_probs.exp() * log_probs.masked_fill(log_probs == -torch.inf, 0.0)).sum(dim=-1)


def response_log_probs(
    model: CausalLM,
    ids: Int[Tensor, "batch seq"],
    labels: Int[Tensor, "batch seq"],
    *,
    return_entropy: bool = False,
    temperature: float = 1.0,
    mask: Bool[Tensor, "batch seq"] | None = None,
    counted: Bool[Tensor, "batch seq"] | None = None,
    document_ids: Int[Tensor, "batch seq"] | None = None,
    positions: Int[Tensor, "batch seq"] | None = None,
) -> dict[str, Float[Tensor, "batch seq"]]:
    """Return `log_probs`: log p(label | ids up to its position), p = softmax(logits / temperature), at least float32.

    Args:
        labels: the token after each of `ids`, such as `sequence[:, 1:]` for `ids = sequence[:, :-1]`.
        return_entropy: add `token_entropy`, that of each position's distribution.
        mask: the positions to compute; others are 0. With a large vocabulary the output layer is most of a small
            model's work, and Loam's Transformer computes it at these positions alone.
        counted: false for padding, which counts in no load of Loam's experts; other models ignore it.
        document_ids, positions: of packed rows, as `TransformerLM.hidden` takes them; Loam's Transformer only.

    Raises:
        InputError: packed rows under another model, or a model that does not return logits.
    """
    shape, chosen = labels.shape, torch.ones_like(labels, dtype=torch.bool) if mask is None else mask
    if isinstance(model, TransformerLM):
        hidden = model.hidden(ids, counted=counted, document_ids=document_ids, positions=positions)
        logits = model.logits(hidden[chosen])
    elif document_ids is not None or positions is not None:
        raise InputError(f"packed rows: a {type(model).__name__} attends across examples, expected Loam's Transformer")
    else:
        logits = logits_of(model, ids)[chosen]
    logits = widened(logits) / temperature
    found = {"log_probs": -token_losses(logits, labels[chosen])}
    if return_entropy:
        found["token_entropy"] = token_entropy(logits)
    return {name: values.new_zeros(shape).masked_scatter(chosen, values) for name, values in found.items()}
