"""Multi-head latent attention (DeepSeek-AI 2024, arXiv:2405.04434, section 2.1): keys and values of all heads are made
from one short vector a token, so the cache holds that vector alone.

    c = norm(W_down x)  [latent_rank];   k_rope = RoPE(W_rope x)  [d_rope], one for all heads
    head h:  k_h = (W_k,h c, k_rope),  v_h = W_v,h c,  q_h = (q_nope, RoPE(q_rope))
    scores over sqrt(d_head + d_rope)

Two ways that give the same numbers: training makes the keys and values of all heads. With a cache they are never made:
q_nope · W_k,h c = (W_k,hᵀ q_nope) · c, so each head attends to the latent vectors themselves, as in multi-query
attention with one key of latent_rank + d_rope coordinates, and W_v,h is applied to the mixed latent vector.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from lm.model.attention import attend
from lm.model.config import ModelConfig
from lm.model.context import Context, KVCache
from lm.model.linear import Linear
from lm.model.norm import make_norm


class LatentAttention(nn.Module):
    """Attention with `latent_rank`; queries are made from a latent vector too where `query_rank` is set."""

    def __init__(self, config: ModelConfig, layer_index: int = 0) -> None:
        super().__init__()
        self.layer_index, self.num_heads, self.latent_rank = layer_index, config.num_heads, config.latent_rank
        self.d_head, self.d_rope = config.d_head, config.d_rope
        self.window, self.fused = config.window_of(layer_index), config.attention == "fused"
        self.scale = 1 / math.sqrt(self.d_head + self.d_rope)
        self.q_down_proj, self.q_norm = None, None
        if config.query_rank:
            self.q_down_proj = Linear(config.d_model, config.query_rank)
            self.q_norm = make_norm(config, config.query_rank)
        self.q_proj = Linear(config.query_rank or config.d_model, self.num_heads * (self.d_head + self.d_rope))
        self.kv_down_proj = Linear(config.d_model, self.latent_rank + self.d_rope)
        self.kv_norm = make_norm(config, self.latent_rank)
        self.k_proj = Linear(self.latent_rank, config.d_attention)
        self.v_proj = Linear(self.latent_rank, config.d_attention)
        self.output_proj = Linear(config.d_attention, config.d_model)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], context: Context | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """Attend to what the context allows."""
        context = context or Context()
        q_nope, q_rope = self._queries(x).split([self.d_head, self.d_rope], dim=-1)
        latent, k_rope = self.kv_down_proj(x).unsqueeze(2).split([self.latent_rank, self.d_rope], dim=-1)
        latent = self.kv_norm(latent)
        if context.rotation is not None:
            q_rope, k_rope = context.rotation(q_rope), context.rotation(k_rope)
        mask = context.mask_for(self.window)
        if context.kv_cache is None:
            mixed = self._expanded(q_nope, q_rope, latent, k_rope, mask)
        else:
            mixed = self._absorbed(q_nope, q_rope, torch.cat([latent, k_rope], dim=-1), mask, context.kv_cache)
        return self.output_proj(rearrange(mixed, "batch heads seq d_head -> batch seq (heads d_head)"))

    def _queries(self, x: Tensor) -> Tensor:
        if self.q_down_proj is not None and self.q_norm is not None:
            x = self.q_norm(self.q_down_proj(x))
        return rearrange(self.q_proj(x), "batch seq (heads d) -> batch seq heads d", heads=self.num_heads)

    def _expanded(self, q_nope: Tensor, q_rope: Tensor, latent: Tensor, k_rope: Tensor, mask: Tensor | None) -> Tensor:
        """Return the mixed values of every head; keys and values are made for every head, as in ordinary attention."""
        k_nope, v = (
            rearrange(projection(latent), "batch seq 1 (heads d) -> batch seq heads d", heads=self.num_heads)
            for projection in (self.k_proj, self.v_proj)
        )
        k = torch.cat([k_nope, k_rope.expand(-1, -1, self.num_heads, -1)], dim=-1)
        q, k, v = (part.transpose(1, 2) for part in (torch.cat([q_nope, q_rope], dim=-1), k, v))
        return attend(q, k, v, mask, window=self.window, scale=self.scale, fused=self.fused)

    def _absorbed(self, q_nope: Tensor, q_rope: Tensor, key: Tensor, mask: Tensor | None, kv_cache: KVCache) -> Tensor:
        """Attend from every head to the cached latent vectors, the keys' first `latent_rank` coordinates."""
        key = key.transpose(1, 2)
        keys, _ = kv_cache.update(self.layer_index, key, key[..., :0])
        w_k, w_v = (p.weight.unflatten(0, (self.num_heads, -1)) for p in (self.k_proj, self.v_proj))
        q_latent = torch.einsum("b q h d, h d r -> b h q r", q_nope, w_k)
        q = torch.cat([q_latent.to(q_rope.dtype), q_rope.transpose(1, 2)], dim=-1)
        mixed = attend(q, keys, keys, mask, window=self.window, scale=self.scale, fused=self.fused)
        return torch.einsum("b h q r, h d r -> b h q d", mixed[..., : self.latent_rank], w_v)
