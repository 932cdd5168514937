"""FlashAttention-2 backward on a GPU, without atomic additions: the same bits every time.

Decisions:
- Three kernels: D = rowsum(dO · O); dK and dV, where a program owns a tile of keys and visits its queries, of all heads
  that share them; dQ, where a program owns a tile of queries and visits its keys. The scores are computed in both.
- Scores of the second kernel are computed transposed, so that P and dS are left operands as they stand.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from lm.kernels.tiled_attention import like
from lm.kernels.triton.attention_tiles import (
    attended,
    blocks,
    loaded,
    rows,
    visited_keys,
    visiting_queries,
    with_unit_stride,
)
from lm.kernels.triton.flash_attention import LOG2_E, constants

_ALONG_ROWS = 64


def backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    output: Tensor,
    sums: Tensor,
    gradient: Tensor,
    starts: Tensor | None,
    ends: Tensor | None,
    is_causal: bool,
    window: int,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients to q, k and v of `[batch heads seq d_head]`."""
    moved = like(q), like(k), like(v)
    q, k, v, output, gradient = (with_unit_stride(part) for part in (q, k, v, output, gradient))
    batch, heads, num_queries, _ = q.shape
    if not q.numel():
        return moved[0], moved[1].zero_(), moved[2].zero_()
    settings = constants(q, k, starts, is_causal, window)
    along = torch.empty_like(sums)
    _along[(triton.cdiv(num_queries, _ALONG_ROWS), batch * heads)](
        output, gradient, along, *output.stride()[:3], *gradient.stride()[:3], num_queries, heads,
        ROWS=_ALONG_ROWS, D=settings["D"], D_HEAD=settings["D_HEAD"], WIDE=settings["WIDE"], num_warps=4,
    )  # fmt: skip
    for kernel, kind, count, num_heads in (
        (_keys, "keys", k.shape[2], k.shape[1]),
        (_queries, "queries", num_queries, heads),
    ):
        size = blocks(kind, q)
        kernel[(triton.cdiv(count, size.own), batch * num_heads)](
            q, k, v, gradient, sums, along, *moved, starts, ends,
            *q.stride()[:3], *k.stride()[:3], *v.stride()[:3], *gradient.stride()[:3],
            *moved[0].stride()[:3], *moved[1].stride()[:3], *moved[2].stride()[:3],
            num_queries, k.shape[2], heads, scale, scale * LOG2_E, window,
            OWN=size.own, VISITED=size.visited,
            num_warps=size.num_warps, num_stages=size.num_stages, **settings,
        )  # fmt: skip
    return moved


@triton.jit
def _along(
    output_ptr,
    gradient_ptr,
    along_ptr,
    output_batch,
    output_head,
    output_row,
    gradient_batch,
    gradient_head,
    gradient_row,
    num_queries,
    num_heads,
    ROWS: tl.constexpr,
    D: tl.constexpr,
    D_HEAD: tl.constexpr,
    WIDE: tl.constexpr,
):
    head = tl.program_id(1)
    batch, own = (head // num_heads).to(tl.int64), (head % num_heads).to(tl.int64)
    queries = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = (queries < num_queries)[:, None] & (tl.arange(0, D) < D_HEAD)[None, :]
    place = rows(output_ptr + batch * output_batch + own * output_head, queries, output_row, D)
    product = tl.load(place, mask=inside, other=0.0).to(WIDE)
    place = rows(gradient_ptr + batch * gradient_batch + own * gradient_head, queries, gradient_row, D)
    product *= tl.load(place, mask=inside, other=0.0).to(WIDE)
    target = along_ptr + head.to(tl.int64) * num_queries + queries
    tl.store(target, tl.sum(product, axis=1), mask=queries < num_queries)


@triton.jit
def _keys(
    q_ptr,
    k_ptr,
    v_ptr,
    gradient_ptr,
    sums_ptr,
    along_ptr,
    moved_q_ptr,
    moved_k_ptr,
    moved_v_ptr,
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
    gradient_batch,
    gradient_head,
    gradient_row,
    moved_q_batch,
    moved_q_head,
    moved_q_row,
    moved_k_batch,
    moved_k_head,
    moved_k_row,
    moved_v_batch,
    moved_v_head,
    moved_v_row,
    num_queries,
    num_keys,
    num_heads,
    scale,
    scale_log2,
    window,
    GROUP: tl.constexpr,
    D: tl.constexpr,
    D_HEAD: tl.constexpr,
    IS_CAUSAL: tl.constexpr,
    HAS_WINDOW: tl.constexpr,
    HAS_DOCUMENTS: tl.constexpr,
    MASK_ALL: tl.constexpr,
    OWN: tl.constexpr,
    VISITED: tl.constexpr,
    WIDE: tl.constexpr,
    WIDEN: tl.constexpr,
    PRECISION: tl.constexpr,
):
    tile = tl.program_id(0)
    num_kv_heads = num_heads // GROUP
    batch = (tl.program_id(1) // num_kv_heads).to(tl.int64)
    own = (tl.program_id(1) % num_kv_heads).to(tl.int64)
    first, last = tile * OWN, tl.minimum(tile * OWN + OWN, num_keys) - 1
    keys = first + tl.arange(0, OWN)
    key = loaded(rows(k_ptr + batch * k_batch + own * k_head, keys, k_row, D), keys, num_keys, True, D, D_HEAD, WIDEN)
    value = loaded(rows(v_ptr + batch * v_batch + own * v_head, keys, v_row, D), keys, num_keys, True, D, D_HEAD, WIDEN)
    starts, ends = keys, keys
    if HAS_DOCUMENTS:
        starts_ptr += batch * num_keys
        ends_ptr += batch * num_keys
        starts = tl.load(starts_ptr + keys, mask=keys < num_keys, other=0)
        ends = tl.load(ends_ptr + keys, mask=keys < num_keys, other=0)
    begin, full_begin, _, end = visiting_queries(
        first, last, num_queries, window, starts_ptr, ends_ptr, IS_CAUSAL, HAS_WINDOW, HAS_DOCUMENTS, VISITED
    )
    moved_k, moved_v = tl.zeros((OWN, D), WIDE), tl.zeros((OWN, D), WIDE)
    for member in range(GROUP):
        head = own * GROUP + member
        q_head_ptr = q_ptr + batch * q_batch + head * q_head
        gradient_head_ptr = gradient_ptr + batch * gradient_batch + head * gradient_head
        place = (batch * num_heads + head) * num_queries
        for masked in tl.static_range(2):
            if (MASK_ALL or IS_CAUSAL) if masked else not MASK_ALL:
                low = begin if masked else full_begin
                high = full_begin if masked and not MASK_ALL else end
                for start in range(low, high, VISITED):
                    queries = start + tl.arange(0, VISITED)
                    query = loaded(
                        rows(q_head_ptr, queries, q_row, D), queries, num_queries, masked == 1, D, D_HEAD, WIDEN
                    )
                    slope = loaded(
                        rows(gradient_head_ptr, queries, gradient_row, D),
                        queries,
                        num_queries,
                        masked == 1,
                        D,
                        D_HEAD,
                        WIDEN,
                    )
                    # Beyond the last query a sum of +∞ makes every probability 0.
                    inside = queries < num_queries
                    sums = tl.load(sums_ptr + place + queries, mask=inside, other=float("inf")) * 1.4426950408889634
                    along = tl.load(along_ptr + place + queries, mask=inside, other=0.0)
                    scores = tl.dot(key, tl.trans(query), input_precision=PRECISION, out_dtype=WIDE) * scale_log2
                    if masked == 1:
                        keep = attended(
                            queries[None, :], keys[:, None], num_keys, window, starts[:, None], ends[:, None],
                            IS_CAUSAL, HAS_WINDOW, False,
                        )  # fmt: skip
                        if HAS_DOCUMENTS:
                            keep = keep & (queries[None, :] >= starts[:, None]) & (queries[None, :] < ends[:, None])
                        scores = tl.where(keep, scores, float("-inf"))
                    probabilities = tl.exp2(scores - sums[None, :])
                    moved_v = tl.dot(
                        probabilities.to(slope.dtype), slope, moved_v, input_precision=PRECISION, out_dtype=WIDE
                    )
                    inner = tl.dot(value, tl.trans(slope), input_precision=PRECISION, out_dtype=WIDE)
                    inner = probabilities * (inner - along[None, :])
                    moved_k = tl.dot(inner.to(query.dtype), query, moved_k, input_precision=PRECISION, out_dtype=WIDE)
    inside = (keys < num_keys)[:, None] & (tl.arange(0, D) < D_HEAD)[None, :]
    place = rows(moved_k_ptr + batch * moved_k_batch + own * moved_k_head, keys, moved_k_row, D)
    tl.store(place, (moved_k * scale).to(moved_k_ptr.dtype.element_ty), mask=inside)
    place = rows(moved_v_ptr + batch * moved_v_batch + own * moved_v_head, keys, moved_v_row, D)
    tl.store(place, moved_v.to(moved_v_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _queries(
    q_ptr,
    k_ptr,
    v_ptr,
    gradient_ptr,
    sums_ptr,
    along_ptr,
    moved_q_ptr,
    moved_k_ptr,
    moved_v_ptr,
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
    gradient_batch,
    gradient_head,
    gradient_row,
    moved_q_batch,
    moved_q_head,
    moved_q_row,
    moved_k_batch,
    moved_k_head,
    moved_k_row,
    moved_v_batch,
    moved_v_head,
    moved_v_row,
    num_queries,
    num_keys,
    num_heads,
    scale,
    scale_log2,
    window,
    GROUP: tl.constexpr,
    D: tl.constexpr,
    D_HEAD: tl.constexpr,
    IS_CAUSAL: tl.constexpr,
    HAS_WINDOW: tl.constexpr,
    HAS_DOCUMENTS: tl.constexpr,
    MASK_ALL: tl.constexpr,
    OWN: tl.constexpr,
    VISITED: tl.constexpr,
    WIDE: tl.constexpr,
    WIDEN: tl.constexpr,
    PRECISION: tl.constexpr,
):
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    head = tl.program_id(1)
    batch, own = (head // num_heads).to(tl.int64), (head % num_heads).to(tl.int64)
    first, last = tile * OWN, tl.minimum(tile * OWN + OWN, num_queries) - 1
    queries = first + tl.arange(0, OWN)
    query = loaded(
        rows(q_ptr + batch * q_batch + own * q_head, queries, q_row, D), queries, num_queries, True, D, D_HEAD, WIDEN
    )
    gradient_ptr += batch * gradient_batch + own * gradient_head
    slope = loaded(rows(gradient_ptr, queries, gradient_row, D), queries, num_queries, True, D, D_HEAD, WIDEN)
    place = head.to(tl.int64) * num_queries + queries
    sums = tl.load(sums_ptr + place, mask=queries < num_queries, other=float("inf")) * 1.4426950408889634
    along = tl.load(along_ptr + place, mask=queries < num_queries, other=0.0)
    k_ptr += batch * k_batch + own // GROUP * k_head
    v_ptr += batch * v_batch + own // GROUP * v_head
    starts, ends = queries, queries
    if HAS_DOCUMENTS:
        starts_ptr += batch * num_queries
        ends_ptr += batch * num_queries
        starts = tl.load(starts_ptr + queries, mask=queries < num_queries, other=0)
        ends = tl.load(ends_ptr + queries, mask=queries < num_queries, other=0)
    begin, _, full_end, end = visited_keys(
        first, last, num_keys, window, starts_ptr, ends_ptr, IS_CAUSAL, HAS_WINDOW, HAS_DOCUMENTS, VISITED
    )
    moved = tl.zeros((OWN, D), WIDE)
    for masked in tl.static_range(2):
        if (MASK_ALL or IS_CAUSAL) if masked else not MASK_ALL:
            low = begin if MASK_ALL or not masked else full_end
            high = end if masked else full_end
            for start in range(low, high, VISITED):
                keys = start + tl.arange(0, VISITED)
                key = loaded(rows(k_ptr, keys, k_row, D), keys, num_keys, masked == 1, D, D_HEAD, WIDEN)
                value = loaded(rows(v_ptr, keys, v_row, D), keys, num_keys, masked == 1, D, D_HEAD, WIDEN)
                scores = tl.dot(query, tl.trans(key), input_precision=PRECISION, out_dtype=WIDE) * scale_log2
                if masked == 1:
                    keep = attended(
                        queries[:, None], keys[None, :], num_keys, window, starts[:, None], ends[:, None],
                        IS_CAUSAL, HAS_WINDOW, HAS_DOCUMENTS,
                    )  # fmt: skip
                    scores = tl.where(keep, scores, float("-inf"))
                probabilities = tl.exp2(scores - sums[:, None])
                inner = tl.dot(slope, tl.trans(value), input_precision=PRECISION, out_dtype=WIDE)
                inner = probabilities * (inner - along[:, None])
                moved = tl.dot(inner.to(key.dtype), key, moved, input_precision=PRECISION, out_dtype=WIDE)
    inside = (queries < num_queries)[:, None] & (tl.arange(0, D) < D_HEAD)[None, :]
    place = rows(moved_q_ptr + batch * moved_q_batch + own * moved_q_head, queries, moved_q_row, D)
    tl.store(place, (moved * scale).to(moved_q_ptr.dtype.element_ty), mask=inside)
