"""Tiles of attention: their sizes, the range that a tile visits, and its mask. Shared by forward and backward.

The keys that a query attends to are one range, and so are the queries of a key. The tiles at both ends of a range are
masked; between them lie tiles that every row attends to in full.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import triton
import triton.language as tl
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Blocks:
    """The rows of the tile that a program owns, of those that it visits, and how the program runs."""

    own: int
    visited: int
    num_warps: int
    num_stages: int


_NARROW = {
    "forward": {64: Blocks(128, 128, 8, 3), 128: Blocks(128, 128, 8, 2), 256: Blocks(128, 64, 8, 2)},
    "keys": {64: Blocks(128, 64, 8, 3), 128: Blocks(128, 32, 8, 3), 256: Blocks(32, 32, 8, 1)},
    "queries": {64: Blocks(128, 64, 8, 3), 128: Blocks(128, 64, 8, 3), 256: Blocks(32, 32, 8, 1)},
}
_WIDE = {
    "forward": {64: Blocks(64, 32, 4, 2), 128: Blocks(16, 32, 8, 1)},
    "keys": {64: Blocks(32, 32, 8, 1), 128: Blocks(16, 16, 8, 1)},
    "queries": {64: Blocks(64, 32, 4, 1), 128: Blocks(16, 16, 8, 1)},
}
"""Tiles by kernel and d_head, for elements of two bytes and of more. Each compiles for sm_90 without a spill; larger
tiles spill (`python -m benchmarks.kernel_resources`). Their speeds are not measured.
"""


def blocks(kind: str, q: Tensor, *, mask_all: bool = False) -> Blocks:
    """Return the tiles of `forward`, or of the backward over `keys` or `queries`; by size and type of the heads.

    `mask_all`: every tile is masked, and the masks take registers.
    """
    table = (_NARROW if q.element_size() == 2 else _WIDE)[kind]
    found = next(table[width] for width in sorted(table) if q.shape[-1] <= width)
    return replace(found, visited=64, num_stages=3) if mask_all and found.visited == 128 else found


def padded_width(d_head: int) -> int:
    """Return the power of two, at least 16, that a tile of vectors takes."""
    return max(16, triton.next_power_of_2(d_head))


def with_unit_stride(part: Tensor) -> Tensor:
    """Return `part` where elements of a vector lie side by side, else a copy."""
    return part if part.stride(-1) == 1 else part.contiguous()


def precision(q: Tensor) -> str:
    """Return the precision of products: float32 in three passes of the matrix units, unless torch allows one for its
    own.
    """
    allowed = torch.backends.cuda.matmul.allow_tf32
    return "tf32" if allowed and q.dtype == torch.float32 else "tf32x3" if q.dtype == torch.float32 else "ieee"


@triton.jit
def visited_keys(
    first,
    last,
    num_keys,
    window,
    starts_ptr,
    ends_ptr,
    IS_CAUSAL: tl.constexpr,
    HAS_WINDOW: tl.constexpr,
    HAS_DOCUMENTS: tl.constexpr,
    TILE: tl.constexpr,
):
    """Return the bounds of the keys of queries `first` to `last` (inclusive), and of the full tiles in between."""
    begin, full_begin = 0, 0
    end, full_end = num_keys, num_keys
    if IS_CAUSAL:
        end = tl.minimum(end, last + 1)
        full_end = tl.minimum(full_end, first + 1)
    if HAS_WINDOW:
        begin = tl.maximum(begin, first - window + 1)
        full_begin = tl.maximum(full_begin, last - window + 1)
    if HAS_DOCUMENTS:
        begin = tl.maximum(begin, tl.load(starts_ptr + first))
        full_begin = tl.maximum(full_begin, tl.load(starts_ptr + last))
        end = tl.minimum(end, tl.load(ends_ptr + last))
        full_end = tl.minimum(full_end, tl.load(ends_ptr + first))
    return aligned(begin, full_begin, full_end, end, TILE)


@triton.jit
def visiting_queries(
    first,
    last,
    num_queries,
    window,
    starts_ptr,
    ends_ptr,
    IS_CAUSAL: tl.constexpr,
    HAS_WINDOW: tl.constexpr,
    HAS_DOCUMENTS: tl.constexpr,
    TILE: tl.constexpr,
):
    """Return the same bounds of the queries of keys `first` to `last` (inclusive)."""
    begin, full_begin = 0, 0
    end, full_end = num_queries, num_queries
    if IS_CAUSAL:
        begin, full_begin = first, last
    if HAS_WINDOW:
        end = tl.minimum(end, last + window)
        full_end = tl.minimum(full_end, first + window)
    if HAS_DOCUMENTS:
        begin = tl.maximum(begin, tl.load(starts_ptr + first))
        full_begin = tl.maximum(full_begin, tl.load(starts_ptr + last))
        end = tl.minimum(end, tl.load(ends_ptr + last))
        full_end = tl.minimum(full_end, tl.load(ends_ptr + first))
    return aligned(begin, full_begin, full_end, end, TILE)


@triton.jit
def aligned(begin, full_begin, full_end, end, TILE: tl.constexpr):
    """Return the four bounds in order, all but the end at multiples of TILE; the full stretch shrinks, perhaps to
    nothing.
    """
    begin = begin // TILE * TILE
    limit = tl.maximum(begin, tl.cdiv(end, TILE) * TILE)
    full_begin = tl.minimum(tl.maximum(tl.cdiv(full_begin, TILE) * TILE, begin), limit)
    full_end = tl.minimum(tl.maximum(full_end // TILE * TILE, full_begin), limit)
    return begin, full_begin, full_end, end


@triton.jit
def attended(
    queries, keys, num_keys, window, starts, ends, IS_CAUSAL: tl.constexpr, HAS_WINDOW: tl.constexpr,
    HAS_DOCUMENTS: tl.constexpr,
):  # fmt: skip
    """Return the mask of a tile whose indices broadcast; documents by the bounds of either side."""
    keep = (keys < num_keys) & (queries >= 0)
    if IS_CAUSAL:
        keep = keep & (queries >= keys)
    if HAS_WINDOW:
        keep = keep & (queries - keys < window)
    if HAS_DOCUMENTS:
        keep = keep & (keys >= starts) & (keys < ends)
    return keep


@triton.jit
def rows(pointer, index, stride, D: tl.constexpr):
    """Return pointers to vectors `index` of a head."""
    return pointer + index.to(tl.int64)[:, None] * stride + tl.arange(0, D)[None, :]


@triton.jit
def loaded(pointers, index, count, MASKED: tl.constexpr, D: tl.constexpr, D_HEAD: tl.constexpr, WIDEN: tl.constexpr):
    """Return a tile of vectors, zero beyond `count` and beyond d_head; in float32 where the interpreter needs it."""
    if MASKED and D > D_HEAD:
        tile = tl.load(pointers, mask=(index < count)[:, None] & (tl.arange(0, D) < D_HEAD)[None, :], other=0.0)
    elif MASKED:
        tile = tl.load(pointers, mask=(index < count)[:, None], other=0.0)
    elif D > D_HEAD:
        tile = tl.load(pointers, mask=(tl.arange(0, D) < D_HEAD)[None, :], other=0.0)
    else:
        tile = tl.load(pointers)
    # The interpreter computes garbage from bfloat16 unless it is widened right after the load.
    return tile.to(tl.float32) if WIDEN else tile
