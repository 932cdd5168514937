"""FlashAttention-2 forward on a GPU.

Decisions:
- A program owns a tile of queries of one head and visits the tiles of keys that they attend to, long tiles first.
- Exponentials are powers of two: log₂ e is part of the scale. Maxima start at a finite number, so that a row whose
  first tiles are masked makes no NaN.
- Only tiles at the diagonal are masked where lengths are multiples of 128. Windows, documents and other lengths mask
  every tile, since a third loop would spill; they skip tiles that no query attends to.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lm.kernels.tiled_attention import like
from lm.kernels.triton.attention_tiles import (
    attended,
    blocks,
    loaded,
    padded_width,
    precision,
    rows,
    visited_keys,
    with_unit_stride,
)
from lm.kernels.triton.launch import INTERPRETED, wide, wide_dtype

EVEN = 128  # a multiple of all tiles
LOG2_E = math.log2(math.e)


def forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    starts: Tensor | None,
    ends: Tensor | None,
    is_causal: bool,
    window: int,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Return the output and the log-sum-exps of `[batch heads seq d_head]`."""
    output = like(q)
    q, k, v = (with_unit_stride(part) for part in (q, k, v))
    sums = torch.empty(q.shape[:-1], dtype=wide_dtype(q.dtype), device=q.device)
    batch, heads, num_queries, _ = q.shape
    settings = constants(q, k, starts, is_causal, window)
    size = blocks("forward", q, mask_all=settings["MASK_ALL"])
    if q.numel():
        _forward[(triton.cdiv(num_queries, size.own), batch * heads)](
            q, k, v, output, sums, starts, ends,
            *q.stride()[:3], *k.stride()[:3], *v.stride()[:3], *output.stride()[:3],
            num_queries, k.shape[2], heads, scale * LOG2_E, window,
            BLOCK_Q=size.own, BLOCK_K=size.visited,
            num_warps=size.num_warps, num_stages=size.num_stages,
            **settings,
        )  # fmt: skip
    return output, sums


def constants(q: Tensor, k: Tensor, starts: Tensor | None, is_causal: bool, window: int) -> dict[str, Any]:
    """Return the compile-time arguments of all kernels of attention."""
    has_window = 0 < window < k.shape[2]
    return {
        "GROUP": q.shape[1] // k.shape[1],
        "D": padded_width(q.shape[-1]),
        "D_HEAD": q.shape[-1],
        "IS_CAUSAL": is_causal,
        "HAS_WINDOW": has_window,
        "HAS_DOCUMENTS": starts is not None,
        "MASK_ALL": has_window or starts is not None or q.shape[2] % EVEN != 0 or k.shape[2] % EVEN != 0,
        "WIDE": wide(q),
        "WIDEN": INTERPRETED and q.dtype == torch.bfloat16,
        "PRECISION": precision(q),
    }


@triton.jit
def _forward(
    q_ptr,
    k_ptr,
    v_ptr,
    output_ptr,
    sums_ptr,
    starts_ptr,
    ends_ptr,
    q_batch,
    q_head,
    q_row,
    k_batch,
    k_head,
    k_row,
    v_batch,
    v_head,
    v_row,
    output_batch,
    output_head,
    output_row,
    num_queries,
    num_keys,
    num_heads,
    scale,
    window,
    GROUP: tl.constexpr,
    D: tl.constexpr,
    D_HEAD: tl.constexpr,
    IS_CAUSAL: tl.constexpr,
    HAS_WINDOW: tl.constexpr,
    HAS_DOCUMENTS: tl.constexpr,
    MASK_ALL: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_K: tl.constexpr,
    WIDE: tl.constexpr,
    WIDEN: tl.constexpr,
    PRECISION: tl.constexpr,
):
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    head = tl.program_id(1)
    batch, own = (head // num_heads).to(tl.int64), (head % num_heads).to(tl.int64)
    first, last = tile * BLOCK_Q, tl.minimum(tile * BLOCK_Q + BLOCK_Q, num_queries) - 1
    queries = first + tl.arange(0, BLOCK_Q)
    query = loaded(
        rows(q_ptr + batch * q_batch + own * q_head, queries, q_row, D), queries, num_queries, True, D, D_HEAD, WIDEN
    )
    k_ptr += batch * k_batch + own // GROUP * k_head
    v_ptr += batch * v_batch + own // GROUP * v_head
    starts, ends = queries, queries
    if HAS_DOCUMENTS:
        starts_ptr += batch * num_queries
        ends_ptr += batch * num_queries
        starts = tl.load(starts_ptr + queries, mask=queries < num_queries, other=0)
        ends = tl.load(ends_ptr + queries, mask=queries < num_queries, other=0)
    begin, _, full_end, end = visited_keys(
        first, last, num_keys, window, starts_ptr, ends_ptr, IS_CAUSAL, HAS_WINDOW, HAS_DOCUMENTS, BLOCK_K
    )
    largest = tl.full((BLOCK_Q,), -1e30, WIDE)
    weight = tl.zeros((BLOCK_Q,), WIDE)
    total = tl.zeros((BLOCK_Q, D), WIDE)
    for masked in tl.static_range(2):
        if (MASK_ALL or IS_CAUSAL) if masked else not MASK_ALL:
            low = begin if MASK_ALL or not masked else full_end
            high = end if masked else full_end
            for start in range(low, high, BLOCK_K):
                keys = start + tl.arange(0, BLOCK_K)
                key = loaded(rows(k_ptr, keys, k_row, D), keys, num_keys, masked == 1, D, D_HEAD, WIDEN)
                scores = tl.dot(query, tl.trans(key), input_precision=PRECISION, out_dtype=WIDE) * scale
                if masked == 1:
                    keep = attended(
                        queries[:, None], keys[None, :], num_keys, window, starts[:, None], ends[:, None],
                        IS_CAUSAL, HAS_WINDOW, HAS_DOCUMENTS,
                    )  # fmt: skip
                    scores = tl.where(keep, scores, float("-inf"))
                higher = tl.maximum(largest, tl.max(scores, axis=1))
                shrink = tl.exp2(largest - higher)
                exponentials = tl.exp2(scores - higher[:, None])
                weight = weight * shrink + tl.sum(exponentials, axis=1)
                value = loaded(rows(v_ptr, keys, v_row, D), keys, num_keys, masked == 1, D, D_HEAD, WIDEN)
                total *= shrink[:, None]
                total = tl.dot(exponentials.to(value.dtype), value, total, input_precision=PRECISION, out_dtype=WIDE)
                largest = higher
    weight = tl.where(weight > 0, weight, 1.0)  # rows beyond the last query met no key
    total /= weight[:, None]
    inside = (queries < num_queries)[:, None] & (tl.arange(0, D) < D_HEAD)[None, :]
    place = rows(output_ptr + batch * output_batch + own * output_head, queries, output_row, D)
    tl.store(place, total.to(output_ptr.dtype.element_ty), mask=inside)
    sums = (largest + tl.log2(weight)) * 0.6931471805599453
    tl.store(sums_ptr + head.to(tl.int64) * num_queries + queries, sums, mask=queries < num_queries)
