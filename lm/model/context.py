"""Inputs of a layer beside the stream: positions, masks, documents, and the cache of earlier tokens.

What the model expects of a cache (`lm.inference.kv_cache` is one):

- `length`: how many tokens every row already holds, used for positions only when the caller gives none.
- `mask(num_queries)`: called once a forward, before the first `update`, with the number of new tokens. Either a bool
  tensor that broadcasts to `[batch 1 num_queries keys]`, true where a query attends to a key, `keys` being what
  `update` will return, each row's keys in the order of their positions; or None where the new tokens are the last ones
  of every row: then query j of `num_queries` sees the keys up to `keys - num_queries + j`.
- `update(layer_index, k, v)`: called once for each attention layer, in order, with the new keys and values `[batch
  heads seq d]` (the shapes of `ModelConfig.cache_shape`), the keys already turned by RoPE. Returns all keys and values
  of that layer, the new ones included.
- `states`: a mapping from the index of a state-space layer to what it remembers; empty before the first forward.
- `advance(num_tokens)`: called once, at the end of a forward.

An `AttendingCache` attends itself: `attend` takes the place of `update`.

Rows of different lengths need `positions` `[batch seq]` from the caller and a mask from the cache; state-space layers
read every token they are given, so they need rows without padding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lm.errors import ConfigurationError
from lm.model.rope import Rotation


@runtime_checkable
class KVCache(Protocol):
    """Keys, values and states of the tokens before; see the module's docstring."""

    @property
    def length(self) -> int:
        """Tokens already held by every row."""
        ...

    @property
    def states(self) -> MutableMapping[int, tuple[Tensor, ...]]:
        """The states of state-space layers, by layer."""
        ...

    def mask(self, num_queries: int) -> Tensor | None:
        """Return the keys that the new tokens attend to; None is causal."""
        ...

    def update(self, layer_index: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add the new keys and values of a layer and return all of them."""
        ...

    def advance(self, num_tokens: int) -> None:
        """Advance past new tokens that all layers have seen."""
        ...


class AttendingCache(ABC):
    """A cache that attends itself, since it does not hold its keys as one tensor; `update` is not called."""

    @abstractmethod
    def attend(
        self,
        layer_index: int,
        q: Float[Tensor, "batch heads seq d_head"],
        k: Float[Tensor, "batch kv_heads seq d_head"],
        v: Float[Tensor, "batch kv_heads seq d_head"],
    ) -> Float[Tensor, "batch heads seq d_head"]:
        """Add the new keys and values of a layer, and mix the values of all tokens that each query attends to."""


@dataclass(frozen=True, slots=True)
class Routing:
    """The routing result of a layer with experts in one forward: its term of the loss, and the load of each expert."""

    balance_loss: Float[Tensor, ""]
    load: Int[Tensor, " experts"]


@dataclass(frozen=True, slots=True)
class Context:
    """One forward pass, as its layers see it. Without anything: causal, no positions."""

    rotation: Rotation | None = None
    """RoPE at the positions of the new tokens; None does not turn."""
    mask: Tensor | None = None
    """The attended keys of each query, `[#batch 1 queries keys]`; None is causal."""
    window_mask: Tensor | None = None
    """The same for the layers with a window; None cuts the window out of `mask`."""
    segments: Tensor | None = None
    """Documents numbered in order, `[batch seq]`, for layers that have no mask."""
    counted: Tensor | None = None
    """The tokens that are not padding, `[batch seq]`; None: all. Only they count in the load of experts."""
    kv_cache: KVCache | None = None
    """Earlier tokens."""
    routing: list[Routing] = field(default_factory=list)
    """Filled by a layer with experts."""

    def mask_for(self, window: int) -> Tensor | None:
        """Return the mask of a layer with this window (0: none)."""
        if not window:
            return self.mask
        if self.window_mask is not None or self.mask is None:
            return self.window_mask
        return windowed(self.mask, window)


def causal_mask(
    num_queries: int, num_keys: int, device: torch.device | None = None, window: int = 0
) -> Bool[Tensor, "queries keys"]:
    """Return a causal mask whose queries are the last of the keys; each attends to at most `window` keys, where set."""
    offset = num_keys - num_queries
    mask = torch.ones(num_queries, num_keys, dtype=torch.bool, device=device).tril(offset)
    return mask.triu(offset - window + 1) if window else mask


def document_mask(document_ids: Int[Tensor, "batch seq"]) -> Bool[Tensor, "batch 1 seq seq"]:
    """Return a causal mask in which no query attends to another document."""
    seq = document_ids.shape[1]
    same = document_ids[:, None, :, None] == document_ids[:, None, None, :]
    return same & causal_mask(seq, seq, document_ids.device)


def windowed(mask: Bool[Tensor, "*axes queries keys"], window: int) -> Bool[Tensor, "*axes queries keys"]:
    """Return the last `window` of the keys that each query attends to."""
    remaining = mask.flip(-1).cumsum(-1).flip(-1)  # allowed keys from this one to the last
    return mask & (remaining <= window)


def document_segments(document_ids: Int[Tensor, "batch seq"]) -> Int[Tensor, "batch seq"]:
    """Return the documents of every row numbered in order: a new number wherever the id changes."""
    changes = document_ids[:, 1:] != document_ids[:, :-1]
    return torch.nn.functional.pad(changes.cumsum(dim=1), (1, 0))


def attention_mask(num_queries: int, kv_cache: KVCache | None, document_ids: Tensor | None) -> Tensor | None:
    """Return the mask of the layers without a window; None is causal.

    Raises:
        ConfigurationError: documents beside a cache.
    """
    if kv_cache is not None:
        if document_ids is not None:
            raise ConfigurationError("document_ids with a kv_cache: the cache does not store the documents of its keys")
        return kv_cache.mask(num_queries)
    return None if document_ids is None else document_mask(document_ids)
