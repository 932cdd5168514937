"""RoPE on a GPU: a program rotates all heads of one token, queries and keys, and reads its row of the tables once."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from lm.kernels.triton.launch import wide

MAX_ELEMENTS = 4_096


def rotate(
    sources: tuple[Tensor, Tensor],
    targets: tuple[Tensor, Tensor],
    cos: Tensor,
    sin: Tensor,
    is_half: bool,
    back: bool,
) -> None:
    """Rotate queries and keys `[batch seq heads d_head]` of any strides into `targets`, which may be the sources;
    `back` by the negative angles.
    """
    (q, k), (to_q, to_k) = sources, targets
    batch, seq, heads, d_head = q.shape
    cos, sin = cos.contiguous(), sin.contiguous()
    pairs = triton.next_power_of_2(d_head // 2)
    if batch * seq:
        _rotate[(batch * seq,)](
            q, k, to_q, to_k, cos, sin, *q.stride(), *k.stride(), *to_q.stride(), *to_k.stride(),
            seq, heads, k.shape[2], d_head // 2, cos.stride(0) if cos.ndim == 3 and len(cos) > 1 else 0,
            IS_HALF=is_half, BACK=back, PAIRS=pairs, HEADS=_heads(heads, pairs), KV_HEADS=_heads(k.shape[2], pairs),
            WIDE=wide(q), num_warps=4,
        )  # fmt: skip


def _heads(heads: int, pairs: int) -> int:
    """Return the number of heads that are rotated at once."""
    return min(triton.next_power_of_2(max(1, heads)), max(1, MAX_ELEMENTS // pairs))


@triton.jit
def _rotate(
    q_ptr,
    k_ptr,
    to_q_ptr,
    to_k_ptr,
    cos_ptr,
    sin_ptr,
    q_batch,
    q_seq,
    q_head,
    q_element,
    k_batch,
    k_seq,
    k_head,
    k_element,
    to_q_batch,
    to_q_seq,
    to_q_head,
    to_q_element,
    to_k_batch,
    to_k_seq,
    to_k_head,
    to_k_element,
    seq,
    heads,
    kv_heads,
    num_pairs,
    table_batch,
    IS_HALF: tl.constexpr,
    BACK: tl.constexpr,
    PAIRS: tl.constexpr,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    WIDE: tl.constexpr,
):
    batch, place = (tl.program_id(0) // seq).to(tl.int64), (tl.program_id(0) % seq).to(tl.int64)
    pairs = tl.arange(0, PAIRS)
    table = batch * table_batch + place * num_pairs + pairs
    cos = tl.load(cos_ptr + table, mask=pairs < num_pairs, other=0.0).to(WIDE)[None, :]
    sin = tl.load(sin_ptr + table, mask=pairs < num_pairs, other=0.0).to(WIDE)[None, :]
    if BACK:
        sin = -sin
    token = q_ptr + batch * q_batch + place * q_seq
    target = to_q_ptr + batch * to_q_batch + place * to_q_seq
    _rotate_heads(
        token, target, cos, sin, heads, q_head, q_element, to_q_head, to_q_element, num_pairs,
        IS_HALF, PAIRS, HEADS, WIDE,
    )  # fmt: skip
    token = k_ptr + batch * k_batch + place * k_seq
    target = to_k_ptr + batch * to_k_batch + place * to_k_seq
    _rotate_heads(
        token, target, cos, sin, kv_heads, k_head, k_element, to_k_head, to_k_element, num_pairs,
        IS_HALF, PAIRS, KV_HEADS, WIDE,
    )  # fmt: skip


@triton.jit
def _rotate_heads(
    token, target, cos, sin, count, head_stride, element_stride, target_head, target_element, num_pairs,
    IS_HALF: tl.constexpr, PAIRS: tl.constexpr, HEADS: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    pairs = tl.arange(0, PAIRS)[None, :]
    first = pairs if IS_HALF else 2 * pairs
    second = pairs + num_pairs if IS_HALF else 2 * pairs + 1
    for start in range(0, count, HEADS):
        heads = start + tl.arange(0, HEADS)[:, None]
        inside = (heads < count) & (pairs < num_pairs)
        rows = token + heads * head_stride
        a = tl.load(rows + first * element_stride, mask=inside, other=0.0).to(WIDE)
        b = tl.load(rows + second * element_stride, mask=inside, other=0.0).to(WIDE)
        rows = target + heads * target_head
        kind = target.dtype.element_ty
        tl.store(rows + first * target_element, (a * cos - b * sin).to(kind), mask=inside)
        tl.store(rows + second * target_element, (a * sin + b * cos).to(kind), mask=inside)
