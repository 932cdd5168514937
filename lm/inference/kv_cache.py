"""Keys and values of the tokens so far, so that each new token costs one position's work.

Decisions: one static buffer for all layers, allocated once for the longest continuation; all rows have the same
length (the engine batches prompts of equal length), so no padding is ever attended to and no mask is needed; rows can
be repeated (one prompt, many samples) and dropped.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


class KVCache:
    """Static cache of `capacity` positions for `num_layers` layers; float32 at 2 · layers · batch · kv_heads ·
    capacity · d_head · 4 bytes.

    `length` is the number of positions filled. It moves on when the last layer has written, so during one forward
    pass every layer sees the same `length`: the position of the pass's first token.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        batch: int,
        kv_heads: int,
        capacity: int,
        d_head: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (num_layers, batch, kv_heads, capacity, d_head)
        self._keys = torch.empty(shape, dtype=dtype, device=device)
        self._values = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def batch(self) -> int:
        """Rows held."""
        return self._keys.shape[1]

    @property
    def capacity(self) -> int:
        """Positions there is room for."""
        return self._keys.shape[3]

    def mask(self, num_queries: int) -> None:
        """Causal for every row: the new tokens are the last ones of all rows alike."""
        return

    def update(
        self,
        layer_index: int,
        k: Float[Tensor, "batch kv_heads seq d_head"],
        v: Float[Tensor, "batch kv_heads seq d_head"],
    ) -> tuple[Float[Tensor, "batch kv_heads total d_head"], Float[Tensor, "batch kv_heads total d_head"]]:
        """Append one layer's new keys and values; returns all of that layer's, views of the buffer.

        Raises:
            ValueError: more positions than `capacity`.
        """
        end = self.length + k.shape[2]
        if end > self.capacity:
            raise ValueError(f"KV cache: {end} positions, capacity {self.capacity}")
        self._keys[layer_index, :, :, self.length : end] = k
        self._values[layer_index, :, :, self.length : end] = v
        if layer_index == self._keys.shape[0] - 1:
            self.length = end
        return self._keys[layer_index, :, :, :end], self._values[layer_index, :, :, :end]

    def select(self, rows: Int[Tensor, " rows"]) -> KVCache:
        """A cache of these rows, in this order; a row may come several times or not at all."""
        chosen = object.__new__(KVCache)
        chosen._keys = self._gather(self._keys, rows)
        chosen._values = self._gather(self._values, rows)
        chosen.length = self.length
        return chosen

    def _gather(self, buffer: Tensor, rows: Tensor) -> Tensor:
        # Only the filled positions are copied; the rest of the new buffer stays unwritten.
        layers, _, kv_heads, capacity, d_head = buffer.shape
        gathered = buffer.new_empty((layers, len(rows), kv_heads, capacity, d_head))
        gathered[:, :, :, : self.length] = buffer[:, :, :, : self.length].index_select(1, rows)
        return gathered
