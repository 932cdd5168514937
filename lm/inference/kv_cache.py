"""KV cache: the state of earlier tokens, so that each new token costs one position's work: keys and values of
attention layers, the latent vectors of latent attention, the states of state-space layers.

Decisions: one static buffer for all attention layers, allocated once for the longest continuation; all rows are
filled to the same length, the shorter ones with `padding` before their first token, which a mask hides; without padding
no mask is needed; rows can be repeated (one prompt, many samples) and dropped.

Not covered: layers with a window keep all keys too, and attend to the last only.
"""

from __future__ import annotations

import copy

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lm.model.config import ModelConfig


class KVCache:
    """Static cache of `capacity` positions for a model of the shape `config`; `lm.accounting.kv_cache_bytes` counts it.

    `length` is the number of positions filled. It moves on with `advance`, when all layers have written, so during one
    forward pass every layer sees the same `length`: the position of the pass's first token.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        batch: int,
        capacity: int,
        padding: Int[Tensor, " batch"] | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        """Args:
        capacity: positions of a row, padding included.
        padding: positions before each row's first token; None where no row has any.
        """
        heads, d_key, d_value = config.cache_shape
        self.batch, self.capacity, self.length = batch, capacity, 0
        self.padding, self.context_length = padding, config.context_length
        attention = [index for index in range(config.num_layers) if config.layer_kind(index) != "ssm"]
        self._rows = {layer_index: row for row, layer_index in enumerate(attention)}
        shape = (len(attention), batch, heads, capacity)
        self._keys = torch.empty((*shape, d_key), dtype=dtype, device=device)
        self._values = torch.empty((*shape, d_value), dtype=dtype, device=device)
        self.states: dict[int, tuple[Tensor, ...]] = {}

    def mask(self, num_queries: int) -> Bool[Tensor, "batch 1 queries keys"] | None:
        """Return the keys of each row's own tokens up to the query; None is causal, where no row has padding.

        A query that is padding itself attends to itself, so that its softmax has a value.
        """
        if self.padding is None:
            return None
        keys = torch.arange(self.length + num_queries, device=self.padding.device)
        queries = keys[self.length :, None]
        shown = (keys <= queries) & (keys >= self.padding[:, None, None])
        return (shown | (keys == queries))[:, None]

    def positions(self, num_tokens: int) -> Int[Tensor, "batch new"] | None:
        """Return the positions of the next tokens within their rows; None where all rows have the cache's own.

        A row that has ended and goes on with its batch stays at the context's last position.
        """
        if self.padding is None:
            return None
        places = torch.arange(self.length, self.length + num_tokens, device=self.padding.device)
        return (places - self.padding[:, None]).clamp(0, self.context_length - 1)

    def update(
        self,
        layer_index: int,
        k: Float[Tensor, "batch kv_heads seq d_head"],
        v: Float[Tensor, "batch kv_heads seq d_value"],
    ) -> tuple[Float[Tensor, "batch kv_heads total d_head"], Float[Tensor, "batch kv_heads total d_value"]]:
        """Append one layer's new keys and values; returns all of that layer's, views of the buffer.

        Raises:
            ValueError: more positions than `capacity`.
        """
        end = self.length + k.shape[2]
        if end > self.capacity:
            raise ValueError(f"KV cache: {end} positions, capacity {self.capacity}")
        row = self._rows[layer_index]
        self._keys[row, :, :, self.length : end] = k
        self._values[row, :, :, self.length : end] = v
        return self._keys[row, :, :, :end], self._values[row, :, :, :end]

    def buffers(
        self, layer_index: int
    ) -> tuple[Float[Tensor, "batch kv_heads capacity d_head"], Float[Tensor, "batch kv_heads capacity d_value"]]:
        """Return one layer's keys and values of all positions, also those that are not written yet."""
        row = self._rows[layer_index]
        return self._keys[row], self._values[row]

    @property
    def num_layers(self) -> int:
        """Layers with attention."""
        return len(self._rows)

    def filled(
        self, layer_index: int
    ) -> tuple[Float[Tensor, "batch kv_heads length d_head"], Float[Tensor, "batch kv_heads length d_value"]]:
        """Return one layer's keys and values of the positions that are filled."""
        row = self._rows[layer_index]
        return self._keys[row, :, :, : self.length], self._values[row, :, :, : self.length]

    def clear_unwritten(self) -> None:
        """Fill the positions that are not written yet with zeros."""
        for buffer in (self._keys, self._values):
            buffer[:, :, :, self.length :].zero_()

    def advance(self, num_tokens: int) -> None:
        """Advance past new positions that all layers have written."""
        self.length += num_tokens

    def select(self, rows: Int[Tensor, " rows"]) -> KVCache:
        """Return a cache of these rows, in this order; a row may come several times or not at all."""
        chosen = copy.copy(self)
        chosen.batch = len(rows)
        chosen.padding = None if self.padding is None else self.padding[rows]
        chosen._keys = self._gather(self._keys, rows)
        chosen._values = self._gather(self._values, rows)
        chosen.states = {
            layer: tuple(part.index_select(0, rows) for part in state) for layer, state in self.states.items()
        }
        return chosen

    def _gather(self, buffer: Tensor, rows: Tensor) -> Tensor:
        # Only the filled positions are copied; the rest of the new buffer stays unwritten.
        layers, _, heads, capacity, d_head = buffer.shape
        gathered = buffer.new_empty((layers, len(rows), heads, capacity, d_head))
        gathered[:, :, :, : self.length] = buffer[:, :, :, : self.length].index_select(1, rows)
        return gathered
