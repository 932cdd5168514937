"""Causal self-attention with grouped keys and values, over all tokens before or the last few."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lm.errors import ConfigurationError
from lm.kernels.attention_backends import Backend, attend_by
from lm.kernels.backend import runs_kernel, takes_gpu_path
from lm.kernels.flash_attention import MAX_D_HEAD, flash_attention
from lm.model.config import ModelConfig
from lm.model.context import AttendingCache, Context, causal_mask
from lm.model.linear import Linear, joined_linear
from lm.model.norm import make_norm
from lm.model.precision import widened
from lm.model.rope import RotaryEmbedding


def softmax(x: Float[Tensor, "*axes"], dim: int = -1) -> Float[Tensor, "*axes"]:
    """Return exp(x − max) / Σ exp(x − max) along `dim`, in float32: without the maximum, exp overflows above 88."""
    wide = widened(x)
    exponentials = torch.exp(wide - wide.amax(dim=dim, keepdim=True))
    return (exponentials / exponentials.sum(dim=dim, keepdim=True)).to(x.dtype)


def scaled_dot_product_attention(
    q: Float[Tensor, "... queries d_head"],
    k: Float[Tensor, "... keys d_head"],
    v: Float[Tensor, "... keys d_value"],
    mask: Bool[Tensor, "... queries keys"] | None = None,
    scale: float | None = None,
) -> Float[Tensor, "... queries d_value"]:
    """Return softmax(Q Kᵀ · scale) V written out (Vaswani et al. 2017, eq. 1); `mask` is true for attended keys,
    `scale` is 1 / sqrt(d_head) where not given.

    Every query must be allowed at least one key.
    """
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = torch.einsum("... q d, ... k d -> ... q k", q, k) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return torch.einsum("... q k, ... k d -> ... q d", softmax(scores), v)


class CausalSelfAttention(nn.Module):
    """Multi-head attention; `num_kv_heads` < `num_heads` shares keys and values between groups of heads (Ainslie et
    al. 2023, and 1 is multi-query, Shazeer 2019).

    Usable alone: `CausalSelfAttention(64, 4, rope=RotaryEmbedding(16, 1024))(x)`.

    Args:
        num_kv_heads: 0 means `num_heads`.
        d_head: 0 means d_model / num_heads.
        window: a token attends to its last `window` tokens, itself included (Beltagy et al. 2020); at 0 to all before.
        bias: of the four projections.
        qk_norm: makes a norm over vectors of d_head; queries and keys pass one each before they turn (Henry et al.
            2020, as in Qwen3).
        rope: turns queries and keys where the context brings no rotation, at positions that follow what the cache
            holds, or start at 0; without either nothing turns.
        fused: torch's kernel, or the formula written out.
        layer_index: the index of this layer in the cache.

    Raises:
        ConfigurationError: heads that do not divide, or a `rope` for heads of another size.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        num_kv_heads: int = 0,
        *,
        d_head: int = 0,
        window: int = 0,
        bias: bool = False,
        qk_norm: Callable[[int], nn.Module] | None = None,
        rope: RotaryEmbedding | None = None,
        fused: bool = True,
        layer_index: int = 0,
    ) -> None:
        super().__init__()
        num_kv_heads = num_kv_heads or num_heads
        if num_heads % num_kv_heads or (not d_head and d_model % num_heads):
            raise ConfigurationError(
                f"CausalSelfAttention: num_heads {num_heads}, num_kv_heads {num_kv_heads}, d_model {d_model}; "
                "expected num_kv_heads to divide num_heads, and num_heads to divide d_model or a d_head"
            )
        self.d_head = d_head or d_model // num_heads
        if rope is not None and rope.d_head != self.d_head:
            raise ConfigurationError(f"CausalSelfAttention: rope for a d_head of {rope.d_head}, expected {self.d_head}")
        self.window, self.rope, self.fused, self.layer_index = window, rope, fused, layer_index
        self.backend: Backend | None = None
        """The measured choice of a run for whole sequences (`lm.training.attention_choice`); None goes by the mask."""
        self.blocks: Any = None
        self.q_proj = Linear(d_model, num_heads * self.d_head, bias)
        self.k_proj = Linear(d_model, num_kv_heads * self.d_head, bias)
        self.v_proj = Linear(d_model, num_kv_heads * self.d_head, bias)
        self.output_proj = Linear(num_heads * self.d_head, d_model, bias)
        self.q_norm, self.k_norm = (qk_norm(self.d_head) if qk_norm else None for _ in range(2))

    @classmethod
    def of(cls, config: ModelConfig, layer_index: int) -> CausalSelfAttention:
        """Return the attention of a layer of this model."""
        return cls(
            config.d_model,
            config.num_heads,
            config.num_kv_heads,
            d_head=config.d_head,
            window=config.window_of(layer_index),
            bias=config.bias,
            qk_norm=(lambda size: make_norm(config, size)) if config.qk_norm else None,
            fused=config.attention == "fused",
            layer_index=layer_index,
        )

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], context: Context | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """Attend to what the context allows; without one, to all tokens before."""
        context = context or Context()
        q, k, v = (
            rearrange(part, "batch seq (heads d_head) -> batch seq heads d_head", d_head=self.d_head)
            for part in self._projected(x)
        )
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        rotation = context.rotation
        if rotation is None and self.rope is not None:
            rotation = self.rope.first(x.shape[1], 0 if context.kv_cache is None else context.kv_cache.length)
        if rotation is not None:
            q, k = rotation.both(q, k)
        # The memory stays ordered by tokens, so nothing is copied here or when the heads are joined.
        q, k, v = (rearrange(part, "batch seq heads d_head -> batch heads seq d_head") for part in (q, k, v))
        if isinstance(context.kv_cache, AttendingCache):
            mixed = context.kv_cache.attend(self.layer_index, q, k, v)
        else:
            mixed = self._attended(q, k, v, context)
        return self.output_proj(rearrange(mixed, "batch heads seq d_head -> batch seq (heads d_head)"))

    def _attended(self, q: Tensor, k: Tensor, v: Tensor, context: Context) -> Tensor:
        if context.kv_cache is not None:
            k, v = context.kv_cache.update(self.layer_index, k, v)
        if self.backend is not None and self._fits(self.backend, context, q):
            segments = context.segments
            return attend_by(self.backend, q, k, v, window=self.window, segments=segments, blocks=self.blocks)
        if context.segments is not None and context.mask is None:
            return flash_attention(q, k, v, True, window=self.window, document_ids=context.segments)
        mask = context.mask_for(self.window)
        return attend(q, k, v, mask, window=self.window, fused=self.fused)

    def _fits(self, backend: Backend, context: Context, q: Tensor) -> bool:
        """Return whether this forward is one of those that the backend was chosen for."""
        if context.kv_cache is not None or context.mask is not None:
            return False
        if context.segments is not None and backend != "kernel":
            return False
        return backend != "flex" or tuple(self.blocks.seq_lengths) == (q.shape[-2], q.shape[-2])

    def _projected(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return queries, keys and values; one product on a GPU."""
        maps = (self.q_proj, self.k_proj, self.v_proj)
        if not takes_gpu_path(x):
            return tuple(projection(x) for projection in maps)
        joined, sizes = joined_linear(x, maps)
        return joined.split(sizes, dim=-1)


def attend(
    q: Float[Tensor, "batch heads queries d_head"],
    k: Float[Tensor, "batch kv_heads keys d_head"],
    v: Float[Tensor, "batch kv_heads keys d_value"],
    mask: Bool[Tensor, "#batch 1 queries keys"] | None = None,
    *,
    window: int = 0,
    scale: float | None = None,
    fused: bool = True,
) -> Float[Tensor, "batch heads queries d_value"]:
    """Return attention over heads; without a mask it is causal with `window`, the queries being the last of the
    keys.
    """
    num_queries, num_keys = q.shape[-2], k.shape[-2]
    if mask is None and window and window < num_keys:
        if fused and num_queries == num_keys and v.shape == k.shape and kernel_attends(q):
            return flash_attention(q, k, v, True, window=window, scale=scale)
        mask = causal_mask(num_queries, num_keys, q.device, window)
    return (_fused if fused else _written_out)(q, k, v, mask, scale)


def kernel_attends(q: Tensor, d_head: int = 0) -> bool:
    """Return whether windows and documents go to the kernel of `lm.kernels.flash_attention`, which needs no mask."""
    return (d_head or q.shape[-1]) <= MAX_D_HEAD[4] and runs_kernel("flash_attention", q)


def _fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    """Return the attention by torch's kernel; a causal mask is never written out where the kernel has its own."""
    num_queries, num_keys, d_value = q.shape[-2], k.shape[-2], v.shape[-1]
    if num_queries == 1 < q.shape[1] // k.shape[1]:
        # The heads that share keys as queries of one head: no copy of the keys, and one product for all of them.
        together = q.reshape(len(q), k.shape[1], -1, q.shape[-1])
        mixed = F.scaled_dot_product_attention(together, k, _padded(v, q), attn_mask=mask, scale=scale)
        return mixed[..., :d_value].reshape(*q.shape[:3], d_value)
    if mask is None and 1 < num_queries < num_keys:
        mask = causal_mask(num_queries, num_keys, q.device)
    if mask is not None and q.is_cuda and q.shape[1] != k.shape[1]:
        # With shared heads and a mask torch would fall to the kernel that writes all scores out.
        k, v = (_repeated(part, q.shape[1] // k.shape[1]) for part in (k, v))
    # The kernels that never write the scores out want values as long as the keys.
    mixed = F.scaled_dot_product_attention(
        q,
        k,
        _padded(v, q),
        attn_mask=mask,
        is_causal=mask is None and num_queries == num_keys,
        scale=scale,
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return mixed[..., :d_value]


def _padded(v: Tensor, q: Tensor) -> Tensor:
    return v if v.shape[-1] == q.shape[-1] else F.pad(v, (0, q.shape[-1] - v.shape[-1]))


def _written_out(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    """Return the attention by the formula: keys and values repeated for each group of heads, the mask written out."""
    k, v = (_repeated(part, q.shape[1] // k.shape[1]) for part in (k, v))
    if mask is None:
        mask = causal_mask(q.shape[-2], k.shape[-2], q.device)
    return scaled_dot_product_attention(q, k, v, mask, scale)


def _repeated(part: Tensor, group: int) -> Tensor:
    """Return keys or values once for each of the `group` query heads that share them."""
    return repeat(part, "batch heads keys d -> batch (heads group) keys d", group=group)
