"""Causal self-attention with grouped keys and values, and the interface to a key-value cache.

What the model expects of a cache (`lm.inference.kv_cache` is one):

- `length`: how many tokens every row already holds, used for positions only when the caller gives none.
- `mask(num_queries)`: asked once a forward, before the first `update`, with the number of new tokens. Either a bool
  tensor that broadcasts to `[batch 1 num_queries keys]`, true where a query may look at a key, `keys` being what
  `update` will return; or None where the new tokens are the last ones of every row: then query j of `num_queries` sees
  the keys up to `keys - num_queries + j`.
- `update(layer_index, k, v)`: called once a layer, in order, with the new keys and values `[batch kv_heads seq
  d_head]`, the keys already turned by RoPE. Returns all keys and values of that layer, `[batch kv_heads keys d_head]`,
  the new ones included.

Rows of different lengths need `positions` `[batch seq]` from the caller and a mask from the cache.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lm.model.config import ModelConfig
from lm.model.linear import Linear
from lm.model.rope import RotaryEmbedding


@runtime_checkable
class KVCache(Protocol):
    """Keys and values of the tokens before; see the module's docstring."""

    @property
    def length(self) -> int:
        """Tokens already held by every row."""
        ...

    def mask(self, num_queries: int) -> Tensor | None:
        """Which keys the new tokens may look at; None is causal."""
        ...

    def update(self, layer_index: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add the new keys and values of a layer and return all of them."""
        ...


def softmax(x: Float[Tensor, ...], dim: int = -1) -> Float[Tensor, ...]:
    """exp(x − max) / Σ exp(x − max) along `dim`, in float32: without the maximum, exp overflows above 88."""
    wide = x.float()
    exponentials = torch.exp(wide - wide.amax(dim=dim, keepdim=True))
    return (exponentials / exponentials.sum(dim=dim, keepdim=True)).to(x.dtype)


def scaled_dot_product_attention(
    q: Float[Tensor, "... queries d_head"],
    k: Float[Tensor, "... keys d_head"],
    v: Float[Tensor, "... keys d_value"],
    mask: Bool[Tensor, "... queries keys"] | None = None,
) -> Float[Tensor, "... queries d_value"]:
    """softmax(Q Kᵀ / sqrt(d_head)) V (Vaswani et al. 2017, eq. 1) written out; `mask` is true where a query may look.

    Every query must be allowed at least one key.
    """
    scores = torch.einsum("... q d, ... k d -> ... q k", q, k) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return torch.einsum("... q k, ... k d -> ... q d", softmax(scores), v)


def causal_mask(num_queries: int, num_keys: int, device: torch.device) -> Bool[Tensor, "queries keys"]:
    """The queries are the last of the keys, and none looks ahead."""
    return torch.ones(num_queries, num_keys, dtype=torch.bool, device=device).tril(num_keys - num_queries)


class CausalSelfAttention(nn.Module):
    """Multi-head attention; `num_kv_heads` < `num_heads` shares keys and values between groups of heads (Ainslie et
    al. 2023).
    """

    def __init__(self, config: ModelConfig, layer_index: int) -> None:
        super().__init__()
        self.config, self.layer_index = config, layer_index
        d_kv = config.num_kv_heads * config.d_head
        self.q_proj = Linear(config.d_model, config.d_model)
        self.k_proj = Linear(config.d_model, d_kv)
        self.v_proj = Linear(config.d_model, d_kv)
        self.output_proj = Linear(config.d_model, config.d_model)

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        rope: RotaryEmbedding,
        tables: tuple[Tensor, Tensor],
        mask: Bool[Tensor, "#batch 1 seq keys"] | None = None,
        kv_cache: KVCache | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Attend; `mask` None is causal, `tables` are RoPE's at the positions of `x`."""
        q, k, v = (self._heads(projection(x)) for projection in (self.q_proj, self.k_proj, self.v_proj))
        q, k = rope(q, tables), rope(k, tables)
        if kv_cache is not None:
            k, v = kv_cache.update(self.layer_index, k, v)
        attend = fused_attention if self.config.attention == "fused" else reference_attention
        mixed = attend(q, k, v, mask)
        return self.output_proj(mixed.transpose(1, 2).flatten(2))

    def _heads(self, projected: Tensor) -> Tensor:
        # [batch seq (heads d_head)] -> [batch heads seq d_head]
        return projected.unflatten(-1, (-1, self.config.d_head)).transpose(1, 2)


def fused_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """torch's kernel; a causal mask is never written out where the kernel has its own."""
    num_queries, num_keys = q.shape[-2], k.shape[-2]
    if mask is None and 1 < num_queries < num_keys:
        mask = causal_mask(num_queries, num_keys, q.device)
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=mask,
        is_causal=mask is None and num_queries == num_keys,
        enable_gqa=q.shape[1] != k.shape[1],
    )


def reference_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """The same by the formula: keys and values repeated for each group of heads, the mask written out."""
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    if mask is None:
        mask = causal_mask(q.shape[-2], k.shape[-2], q.device)
    return scaled_dot_product_attention(q, k, v, mask)
