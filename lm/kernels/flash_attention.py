"""FlashAttention-2: attention in memory linear in the sequence, forward and backward (Dao 2023).

`FlashAttentionPyTorch` and `FlashAttentionTriton` are autograd functions with the forward
`(q, k, v, is_causal=False, window=0, document_ids=None, scale=None)` over `[... seq d_head]`. Both save q, k, v, the
output and one log-sum-exp a query; the backward computes the probabilities again. With four axes or more, the axis
before `seq` is that of heads, and q may have a multiple of the heads of k and v (grouped queries).

- `is_causal`: query i attends to keys j ≤ i; queries and keys are both counted from 0, as in torch.
- `window`: only to its last `window` tokens, itself included; 0 means no limit.
- `document_ids` `[batch seq]`: only to tokens of its own document, a run of equal ids. Tiles between documents are not
  computed, so packing costs nothing.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lm.errors import ConfigurationError
from lm.kernels.backend import runs_kernel, type_limits
from lm.kernels.tiled_attention import Pattern, document_bounds, like, tiled_backward, tiled_forward

MAX_D_HEAD = {2: 256, 4: 128, 8: 128}
"""Of the Triton kernels, by bytes of an element."""


def flash_attention(
    q: Float[Tensor, "*batch queries d_head"],
    k: Float[Tensor, "*batch2 keys d_head"],
    v: Float[Tensor, "*batch2 keys d_head"],
    is_causal: bool = False,
    *,
    window: int = 0,
    document_ids: Int[Tensor, "batch queries"] | None = None,
    scale: float | None = None,
) -> Float[Tensor, "*batch queries d_head"]:
    """Compute softmax(scale · Q Kᵀ) V by the Triton kernel, or by its PyTorch twin as the switch says; `scale` is
    1 / sqrt(d_head) where not given.

    Raises:
        ConfigurationError: shapes that do not fit together; a window without `is_causal`, or documents or a window
            with other numbers of queries than of keys.
    """
    chosen = FlashAttentionTriton if runs_kernel("flash_attention", q, _limits(q, k, v)) else FlashAttentionPyTorch
    found: Tensor = chosen.apply(q, k, v, is_causal, window, document_ids, scale)
    return found


def _limits(q: Tensor, k: Tensor, v: Tensor) -> str:
    if not q.dtype == k.dtype == v.dtype:
        return f"q, k and v of {q.dtype}, {k.dtype} and {v.dtype}, expected one type"
    if q.dtype == torch.float64 and q.is_cuda:
        return "float64, expected float16, bfloat16 or float32"
    limit = MAX_D_HEAD.get(q.element_size(), 0)
    if limit and not 1 <= q.shape[-1] <= limit:
        return f"d_head {q.shape[-1]} of {q.dtype}, expected 1 to {limit}"
    return type_limits(q)


class FlashAttentionPyTorch(torch.autograd.Function):
    """Attention tile by tile in PyTorch; see the module's docstring."""

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        is_causal: bool = False,
        window: int = 0,
        document_ids: Tensor | None = None,
        scale: float | None = None,
    ) -> Tensor:
        """Return the output `[... queries d_head]` in the type of q."""
        parts = _with_heads(q, k, v, is_causal, window, document_ids)
        starts, ends = (None, None) if document_ids is None else document_bounds(document_ids)
        pattern = Pattern(is_causal, window, starts, ends)
        scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
        output, sums = tiled_forward(*parts, pattern, scale)
        return _saved(ctx, (q, k, v), output, sums, pattern, scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients to q, k and v."""
        parts, pattern = _restored(ctx, gradients[0])
        moved = tiled_backward(*parts, pattern, ctx.scale)
        return (*_reshaped(ctx, moved), None, None, None, None)


class FlashAttentionTriton(torch.autograd.Function):
    """Attention by the Triton kernels, on a CUDA device or in Triton's interpreter; see the module's docstring."""

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        is_causal: bool = False,
        window: int = 0,
        document_ids: Tensor | None = None,
        scale: float | None = None,
    ) -> Tensor:
        """Return the output `[... queries d_head]` in the type of q."""
        limits = _limits(q, k, v)
        if limits:
            raise ConfigurationError(f"kernel flash_attention: {limits}")
        parts = _with_heads(q, k, v, is_causal, window, document_ids)
        starts, ends = (None, None) if document_ids is None else document_bounds(document_ids)
        scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
        output, sums = torch.ops.loam.flash_attention(*parts, starts, ends, is_causal, window, scale)
        return _saved(ctx, (q, k, v), output, sums, Pattern(is_causal, window, starts, ends), scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients to q, k and v."""
        parts, pattern = _restored(ctx, gradients[0])
        moved = torch.ops.loam.flash_attention_backward(
            *parts, pattern.starts, pattern.ends, pattern.is_causal, pattern.window, ctx.scale
        )
        return (*_reshaped(ctx, moved), None, None, None, None)


_Parts = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def _with_heads(
    q: Tensor, k: Tensor, v: Tensor, is_causal: bool, window: int, document_ids: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return views of four axes, batch, heads, seq and d_head; three axes or two have one head."""
    shapes = f"q {list(q.shape)}, k {list(k.shape)}, v {list(v.shape)}"
    if not q.ndim == k.ndim == v.ndim >= 2 or k.shape != v.shape or q.shape[-1] != k.shape[-1] or not k.shape[-2]:
        raise ConfigurationError(f"flash_attention: {shapes}, expected [... seq d_head], k and v alike, with keys")
    views = [part[:, None] if part.ndim == 3 else part.reshape(-1, *(1, *part.shape)[-3:]) for part in (q, k, v)]
    if (
        q.shape[:-3] != k.shape[:-3]
        or views[1].shape[1] == 0
        or views[0].shape[1] % views[1].shape[1]
        or (q.ndim == 3 and q.shape[0] != k.shape[0])
    ):
        raise ConfigurationError(f"flash_attention: {shapes}, expected equal batches, and kv heads that divide heads")
    if (window or document_ids is not None) and q.shape[-2] != k.shape[-2]:
        raise ConfigurationError(
            f"flash_attention: {shapes}, expected equal numbers of keys and queries with a window or documents"
        )
    if window < 0 or (window and not is_causal):
        raise ConfigurationError(f"flash_attention: window {window}, expected 0, or more together with is_causal")
    expected = views[0].shape[0], q.shape[-2]
    if document_ids is not None and document_ids.shape != expected:
        raise ConfigurationError(f"flash_attention: document_ids {list(document_ids.shape)}, expected {list(expected)}")
    return views[0], views[1], views[2]


def _saved(
    ctx: Any, inputs: tuple[Tensor, ...], output: Tensor, sums: Tensor, pattern: Pattern, scale: float
) -> Tensor:
    q = inputs[0]
    result = output.reshape(q.shape)
    documents = () if pattern.starts is None else (pattern.starts, pattern.ends)
    ctx.save_for_backward(*inputs, result, sums.reshape(q.shape[:-1]), *documents)
    ctx.is_causal, ctx.window, ctx.scale = pattern.is_causal, pattern.window, scale
    return result


def _restored(ctx: Any, gradient: Tensor) -> tuple[_Parts, Pattern]:
    """Return q, k, v, output, log-sum-exps and the output's gradient with four axes, and the pattern."""
    q, k, v, output, sums, *documents = ctx.saved_tensors
    starts, ends = documents or (None, None)
    pattern = Pattern(ctx.is_causal, ctx.window, starts, ends)
    q, k, v = _with_heads(q, k, v, ctx.is_causal, ctx.window, None)
    return (q, k, v, output.reshape(q.shape), sums.reshape(q.shape[:-1]), gradient.reshape(q.shape)), pattern


def _reshaped(ctx: Any, moved: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(part.reshape(like.shape) for part, like in zip(moved, ctx.saved_tensors[:3], strict=True))


@torch.library.custom_op(
    "loam::flash_attention",
    mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor v, Tensor? starts, Tensor? ends, bool is_causal, int window, float scale) "
    "-> (Tensor, Tensor)",
)
def _forward(*arguments: Any) -> tuple[Tensor, Tensor]:
    from lm.kernels.triton import flash_attention as kernels

    return kernels.forward(*arguments)


@_forward.register_fake
def _forward_fake(q: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    wide = torch.promote_types(q.dtype, torch.float32)
    return like(q), torch.empty(q.shape[:-1], dtype=wide, device=q.device)


@torch.library.custom_op(
    "loam::flash_attention_backward",
    mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor v, Tensor output, Tensor sums, Tensor gradient, Tensor? starts, Tensor? ends, "
    "bool is_causal, int window, float scale) -> (Tensor, Tensor, Tensor)",
)
def _backward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    from lm.kernels.triton import flash_attention_backward as kernels

    return kernels.backward(*arguments)


@_backward.register_fake
def _backward_fake(q: Tensor, k: Tensor, v: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return like(q), like(k), like(v)
