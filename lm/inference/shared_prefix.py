"""KV cache of several samples of each prompt: a prompt's keys and values are held and read once for all of its samples.

Attention over both parts of a row's keys, those of its prompt (p) and those of its new tokens (n):

    S = [Q Kpᵀ, Q Knᵀ] / sqrt(d_head),  P = softmax(S),  O = Pp Vp + Pn Vn

The queries of a prompt's samples are the rows of one product with the prompt's keys. The buffers of new tokens are
contiguous and grow as they fill, so that a step reads little more than the tokens that exist.

Only for a CPU in float32: there decoding waits for memory, and a copy of the prompt for each sample is read at each
step. Layers with a window, latent attention and state-space layers keep `KVCache`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import MutableMapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lm.inference.kv_cache import KVCache
from lm.model import TransformerLM
from lm.model.context import AttendingCache

GROWTH = 16
"""The buffers of new tokens grow by a multiple of this many positions, which products want."""


def can_share_prefixes(model: TransformerLM) -> bool:
    """Return whether decoding of this model reads each prompt once for all of its samples."""
    config = model.config
    plain = all(config.layer_kind(index) == "full" for index in range(config.num_layers))
    plain = plain and config.attention == "fused" and not config.latent_rank
    return plain and model.device.type == "cpu" and model.cache_type == torch.float32


class SharedPrefixCache(AttendingCache):
    """Keys and values of prompts, and of the new tokens of each row; rows are samples of the prompts."""

    def __init__(self, prompts: KVCache, owners: Int[Tensor, " rows"], steps: int) -> None:
        """Args:
        prompts: the filled cache of the prompts, one a row.
        owners: the prompt of each row, in ascending order.
        steps: new tokens of a row at most.
        """
        parts = [prompts.filled(layer) for layer in range(prompts.num_layers)]
        self._keys, self._values = ([pair[i].contiguous() for pair in parts] for i in range(2))
        self._context_length = prompts.context_length
        self._padding = torch.zeros(prompts.batch, dtype=torch.long) if prompts.padding is None else prompts.padding
        self.length, self.capacity = prompts.length, prompts.length + steps
        self._num_new = 0
        heads, d_head = self._keys[0].shape[1], self._keys[0].shape[3]
        self._new = [part.new_zeros(2, len(owners), heads, 0, d_head) for part in self._keys]
        self._own(owners)

    @property
    def states(self) -> MutableMapping[int, tuple[Tensor, ...]]:
        """Return none: state-space layers have no part in it."""
        return {}

    def mask(self, num_queries: int) -> None:
        """Return None: `attend` hides what a row does not attend to."""

    def update(self, layer_index: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Raise an error: this cache attends itself, so `attend` replaces `update`.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("this cache attends itself; expected a call of attend instead of update")

    def positions(self, num_tokens: int) -> Int[Tensor, "rows 1"]:
        """Return the positions of the next tokens within their rows; see `KVCache.positions`."""
        places = torch.arange(self.length, self.length + num_tokens)
        return (places - self._padding[self._owners, None]).clamp(0, self._context_length - 1)

    def attend(
        self,
        layer_index: int,
        q: Float[Tensor, "rows heads 1 d_head"],
        k: Float[Tensor, "rows kv_heads 1 d_head"],
        v: Float[Tensor, "rows kv_heads 1 d_head"],
    ) -> Float[Tensor, "rows heads 1 d_head"]:
        """Append one layer's new keys and values, and attend to all of the row's tokens."""
        self._make_room(layer_index)
        keys, values = self._new[layer_index]
        keys[:, :, self._num_new], values[:, :, self._num_new] = k[:, :, 0], v[:, :, 0]
        rows, heads, _, d_head = q.shape
        kv_heads = k.shape[1]
        queries = (q / math.sqrt(d_head)).reshape(rows, kv_heads, heads // kv_heads, d_head)
        prompt_keys, prompt_values = self._keys[layer_index], self._values[layer_index]
        to_prompts = self._to_rows(torch.bmm(self._to_prompts(queries), prompt_keys.flatten(0, 1).mT))
        to_new = torch.bmm(queries.flatten(0, 1), keys.flatten(0, 1).mT).view(rows, kv_heads, -1, keys.shape[2])
        scores = torch.cat([to_prompts, to_new], dim=-1).add_(self._bias[:, None, None])
        weights = torch.softmax(scores, dim=-1, out=scores)
        of_prompts, of_new = weights.split([prompt_keys.shape[2], keys.shape[2]], dim=-1)
        mixed = self._to_rows(torch.bmm(self._to_prompts(of_prompts), prompt_values.flatten(0, 1)))
        mixed = mixed + torch.bmm(of_new.flatten(0, 1), values.flatten(0, 1)).view(mixed.shape)
        return mixed.reshape(rows, heads, 1, d_head)

    def advance(self, num_tokens: int) -> None:
        """Advance past the new token that all layers have written."""
        self.length += num_tokens
        self._num_new += num_tokens

    def select(self, rows: Int[Tensor, " rows"]) -> SharedPrefixCache:
        """Return a cache of these rows, in ascending order; prompts without a row are dropped."""
        chosen = copy.copy(self)
        owners, places = self._owners[rows].unique_consecutive(return_inverse=True)
        chosen._keys, chosen._values = ([part[owners] for part in kept] for kept in (self._keys, self._values))
        chosen._padding, chosen._new = self._padding[owners], [part[:, rows] for part in self._new]
        chosen._own(places)
        return chosen

    def _own(self, owners: Tensor) -> None:
        """Give each row a slot of its prompt; slots without a row compute what row 0 does, and nobody reads it."""
        self._owners, self.batch = owners, len(owners)
        counts = owners.bincount(minlength=len(self._padding))
        self._slots = torch.arange(self.batch) - (counts.cumsum(0) - counts)[owners]
        self._grid = torch.zeros(len(counts), int(counts.max()), dtype=torch.long)
        self._grid[owners, self._slots] = torch.arange(self.batch)
        self._is_full = self._grid.numel() == self.batch
        self._set_bias()

    def _make_room(self, layer_index: int) -> None:
        old = self._new[layer_index]
        held = old.shape[3]
        if self._num_new == held:
            if self.length >= self.capacity:
                raise ValueError(f"KV cache: {self.length + 1} positions, capacity {self.capacity}")
            more = max(GROWTH, held // 4 // GROWTH * GROWTH)
            self._new[layer_index] = new = old.new_empty((*old.shape[:3], held + more, old.shape[4]))
            new[:, :, :, :held] = old
            new[:, :, :, held:] = 0.0  # what is masked must still be a number
        if layer_index == 0:
            if self._num_new == held:
                self._set_bias()
            self._bias[:, self._num_prompt + self._num_new] = 0.0

    @property
    def _num_prompt(self) -> int:
        return self._keys[0].shape[2]

    def _set_bias(self) -> None:
        """Set the terms that are added to each row's scores: −∞ at padding and at positions not written yet."""
        padded = torch.arange(self._num_prompt) < self._padding[self._owners, None]
        unwritten = torch.arange(self._new[0].shape[3]) >= self._num_new
        hidden = torch.cat([padded, unwritten.expand(self.batch, -1)], dim=1)
        self._bias = torch.zeros(hidden.shape).masked_fill_(hidden, -math.inf)

    def _to_prompts(self, x: Float[Tensor, "rows kv_heads group d"]) -> Float[Tensor, "both samples d"]:
        """Return the vectors of a prompt's samples as one matrix for each head of keys."""
        grid = x.unflatten(0, self._grid.shape) if self._is_full else x[self._grid]
        return grid.transpose(1, 2).reshape(grid.shape[0] * grid.shape[2], -1, grid.shape[4])

    def _to_rows(self, x: Float[Tensor, "both samples d"]) -> Float[Tensor, "rows kv_heads group d"]:
        """Return each row's vectors out of the matrices of `_to_prompts`."""
        prompts, samples = self._grid.shape
        grid = x.view(prompts, -1, samples, x.shape[1] // samples, x.shape[2]).transpose(1, 2)
        return grid.flatten(0, 1) if self._is_full else grid[self._owners, self._slots]
