"""FlashAttention-2 in plain PyTorch, tile by tile: the reference of the Triton kernels and the path of the CPU.

Forward, for a tile of queries and each tile of keys (Dao 2023, algorithm 1):

    S = scale · Q Kᵀ,  m' = max(m, rowmax S),  P = exp(S − m'),  l ← exp(m − m') l + rowsum P,  O ← exp(m − m') O + P V

and at the end O / l and the log-sum-exp L = m + log l. Backward (algorithm 2), with D = rowsum(dO · O):

    P = exp(S − L),  dV += Pᵀ dO,  dS = P · (dO Vᵀ − D),  dQ += scale · dS K,  dK += scale · dSᵀ Q

Memory is linear in the sequence: a tile of scores exists at a time. Sums and exponentials are in float32 (float64 for
float64).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

TILE = 128


@dataclass(frozen=True, slots=True)
class Pattern:
    """The keys that each query attends to.

    `is_causal`: key j for query i only where j ≤ i. `window`: only where i − j < window; 0 means no limit. `starts` and
    `ends`: only where starts[i] ≤ j < ends[i], the document of the token.
    """

    is_causal: bool = False
    window: int = 0
    starts: Int[Tensor, "batch seq"] | None = None
    ends: Int[Tensor, "batch seq"] | None = None

    def keys_of(self, first: int, last: int, num_keys: int) -> tuple[int, int]:
        """Return the range of keys that queries `first` to `last` (exclusive) attend to."""
        begin, end = 0, min(last, num_keys) if self.is_causal else num_keys
        if self.window:
            begin = max(begin, first - self.window + 1)
        if self.starts is not None and self.ends is not None:
            begin = max(begin, int(self.starts[:, first].min()))
            end = min(end, int(self.ends[:, last - 1].max()))
        return begin, end

    def hide(self, scores: Tensor, first_query: int, first_key: int) -> Tensor:
        """Return scores `[batch heads queries keys]` of a tile with −∞ at the keys that a query does not attend to."""
        rows = first_query + torch.arange(scores.shape[-2], device=scores.device)[:, None]
        columns = first_key + torch.arange(scores.shape[-1], device=scores.device)
        if self.is_causal:
            scores = scores.masked_fill(columns > rows, -math.inf)
        if self.window:
            scores = scores.masked_fill(rows - columns >= self.window, -math.inf)
        if self.starts is not None and self.ends is not None:
            part = slice(first_query, first_query + scores.shape[-2])
            outside = (columns < self.starts[:, part, None]) | (columns >= self.ends[:, part, None])
            scores = scores.masked_fill(outside[:, None], -math.inf)
        return scores


def document_bounds(
    document_ids: Int[Tensor, "batch seq"],
) -> tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch seq"]]:
    """Return for each token the first token of its document and the first one after it, in int32; no host wait.

    A document is a run of equal ids.
    """
    seq = document_ids.shape[1]
    places = torch.arange(seq, device=document_ids.device).expand(document_ids.shape)
    changes = torch.ones_like(document_ids, dtype=torch.bool)
    changes[:, 1:] = document_ids[:, 1:] != document_ids[:, :-1]
    starts = places.where(changes, 0).cummax(1).values
    last = torch.ones_like(changes)
    last[:, :-1] = changes[:, 1:]
    ends = (places + 1).where(last, seq).flip(1).cummin(1).values.flip(1)
    return starts.int(), ends.int()


def tiled_forward(
    q: Float[Tensor, "batch heads queries d_head"],
    k: Float[Tensor, "batch kv_heads keys d_head"],
    v: Float[Tensor, "batch kv_heads keys d_head"],
    pattern: Pattern,
    scale: float,
) -> tuple[Float[Tensor, "batch heads queries d_head"], Float[Tensor, "batch heads queries"]]:
    """Return the attention's output in the type of q, and each query's log-sum-exp of its scores."""
    output = torch.empty_like(q)
    wide = torch.promote_types(q.dtype, torch.float32)
    sums = torch.empty(q.shape[:-1], dtype=wide, device=q.device)
    for rows, query in _tiles(q, wide):
        total = torch.zeros_like(query)
        weight = total.new_zeros(total.shape[:-1])
        largest = torch.full_like(weight, -math.inf)
        for columns, key, value in _key_tiles(q, k, v, pattern, rows, wide):
            scores = pattern.hide(scale * (query @ key.mT), rows.start, columns.start)
            higher = torch.maximum(largest, scores.amax(-1))
            # A row that met no key yet has a maximum of −∞, and −∞ − (−∞) is not a number.
            shift = higher.where(higher.isfinite(), 0.0)
            exponentials = torch.exp(scores - shift[..., None])
            shrink = torch.exp(largest - shift)
            weight = shrink * weight + exponentials.sum(-1)
            total = shrink[..., None] * total + exponentials @ value
            largest = higher
        output[:, :, rows] = (total / weight[..., None]).to(q.dtype)
        sums[:, :, rows] = largest + weight.log()
    return output, sums


def tiled_backward(
    q: Tensor, k: Tensor, v: Tensor, output: Tensor, sums: Tensor, gradient: Tensor, pattern: Pattern, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients to q, k and v; the probabilities are computed again from the log-sum-exps `sums`."""
    wide = sums.dtype
    group = q.shape[1] // k.shape[1]
    moved_q = torch.zeros(q.shape, dtype=wide, device=q.device)
    moved_k, moved_v = (torch.zeros(part.shape, dtype=wide, device=q.device) for part in (k, v))
    along = (output.to(wide) * gradient.to(wide)).sum(-1, keepdim=True)
    for rows, query in _tiles(q, wide):
        slope = gradient[:, :, rows].to(wide)
        for columns, key, value in _key_tiles(q, k, v, pattern, rows, wide):
            scores = pattern.hide(scale * (query @ key.mT), rows.start, columns.start)
            probabilities = torch.exp(scores - sums[:, :, rows, None])
            moved_v[:, :, columns] += _joined(probabilities.mT @ slope, group)
            inner = scale * probabilities * (slope @ value.mT - along[:, :, rows])
            moved_q[:, :, rows] += inner @ key
            moved_k[:, :, columns] += _joined(inner.mT @ query, group)
    return moved_q.to(q.dtype), moved_k.to(k.dtype), moved_v.to(v.dtype)


def like(part: Tensor) -> Tensor:
    """Return memory for a result in the order of `part`, so that joining the heads copies nothing; vectors stay
    together.
    """
    return (
        torch.empty_like(part)
        if part.stride(-1) == 1
        else torch.empty(part.shape, dtype=part.dtype, device=part.device)
    )


def _tiles(q: Tensor, wide: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
    for start in range(0, q.shape[2], TILE):
        rows = slice(start, min(start + TILE, q.shape[2]))
        yield rows, q[:, :, rows].to(wide)


def _key_tiles(
    q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, rows: slice, wide: torch.dtype
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield the tiles of keys and values that a tile of queries attends to, once for each query head."""
    group = q.shape[1] // k.shape[1]
    begin, end = pattern.keys_of(rows.start, rows.stop, k.shape[2])
    for start in range(begin - begin % TILE, end, TILE):
        columns = slice(start, min(start + TILE, k.shape[2]))
        key, value = (part[:, :, columns].to(wide).repeat_interleave(group, dim=1) for part in (k, v))
        yield columns, key, value


def _joined(part: Tensor, group: int) -> Tensor:
    """Return the sum over the query heads that share a key head."""
    return part.unflatten(1, (-1, group)).sum(2)
