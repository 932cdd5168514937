"""The output layer with cross-entropy on a GPU: each logit is written once and read once.

Decisions:
- The product writes its tile of logits together with the tile's log-sum-exp and the logit of the target, where the tile
  has it. So the normalizer of a row comes from one number a tile, and no pass over the logits finds the maximum.
- The log-sum-exps are those of the logits as stored, so that probabilities of rounded logits still sum to 1.
- The slopes take the place of the logits. Rows begin at multiples of 128 elements, which a vocabulary of 50,257 would
  not give: loads stay 16 bytes wide, and so do those of the products that follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from lm.kernels.padding import padded_size
from lm.kernels.triton.attention_tiles import precision
from lm.kernels.triton.launch import INTERPRETED, wide, wide_dtype

SLOPE_BLOCK, SLOPE_WARPS = 4_096, 8


@dataclass(frozen=True, slots=True)
class _Tile:
    """Tokens, columns of the vocabulary and elements of d_model that a program multiplies at once."""

    tokens: int
    columns: int
    depth: int
    num_warps: int
    num_stages: int


_TILES = {2: _Tile(128, 128, 64, 8, 3), 4: _Tile(64, 64, 32, 8, 2), 8: _Tile(64, 64, 32, 8, 2)}


def results(hidden: Tensor, vocab: int, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return memory for `logits`; the logits of the targets start as NaN, which a target outside of the vocabulary
    keeps.
    """
    columns = _TILES[hidden.element_size()].columns
    padded = padded_size(vocab) if keep else 0
    found = torch.empty(len(hidden), padded, dtype=hidden.dtype, device=hidden.device)
    wide_type = wide_dtype(hidden.dtype)
    sums = torch.empty(len(hidden), (vocab + columns - 1) // columns, dtype=wide_type, device=hidden.device)
    return found, sums, torch.full((len(hidden),), float("nan"), dtype=wide_type, device=hidden.device)


def logits(
    hidden: Tensor, weight: Tensor, targets: Tensor, soft_cap: float, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the logits with rows padded by `padded_size` (no columns unless `keep`), each tile's log-sum-exp, and the
    logit of each target.
    """
    tile = _TILES[hidden.element_size()]
    num_tokens, vocab = len(hidden), len(weight)
    found, sums, picked = results(hidden, vocab, keep)
    if num_tokens:
        _logits[(triton.cdiv(num_tokens, tile.tokens) * sums.shape[1],)](
            hidden, weight, targets, found, sums, picked, num_tokens, vocab, hidden.shape[1],
            hidden.stride(0), weight.stride(0), found.shape[1], soft_cap,
            HAS_CAP=soft_cap > 0, KEEP=keep, TOKENS=tile.tokens, COLUMNS=tile.columns, DEPTH=tile.depth,
            WIDE=wide(hidden), WIDEN=INTERPRETED and hidden.dtype == torch.bfloat16, PRECISION=precision(hidden),
            num_warps=tile.num_warps, num_stages=tile.num_stages,
        )  # fmt: skip
    return found, sums, picked


def slopes(
    found: Tensor, sums: Tensor, picked: Tensor, targets: Tensor, vocab: int, soft_cap: float, z_loss: float
) -> tuple[Tensor, Tensor]:
    """Return each token's loss in nats and its normalizer; `found`, the logits, become the slopes of the loss to
    them.
    """
    nats, normalizers = torch.empty_like(picked), torch.empty_like(picked)
    num_tokens, num_tiles = sums.shape
    if num_tokens:
        _slopes[(num_tokens,)](
            found, sums, picked, targets, nats, normalizers, vocab, found.shape[1], num_tiles, soft_cap, z_loss,
            HAS_CAP=soft_cap > 0, KEEP=found.shape[1] > 0, BLOCK=SLOPE_BLOCK,
            NUM_TILES=max(16, triton.next_power_of_2(num_tiles)), WIDE=wide(picked), num_warps=SLOPE_WARPS,
        )  # fmt: skip
    return nats, normalizers


@triton.jit
def _logits(
    hidden_ptr,
    weight_ptr,
    targets_ptr,
    logits_ptr,
    sums_ptr,
    picked_ptr,
    num_tokens,
    vocab,
    d_model,
    hidden_stride,
    weight_stride,
    logits_stride,
    soft_cap,
    HAS_CAP: tl.constexpr,
    KEEP: tl.constexpr,
    TOKENS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    WIDE: tl.constexpr,
    WIDEN: tl.constexpr,
    PRECISION: tl.constexpr,
):
    # Neighbouring programs share a tile of the weight: the hidden vectors of a chunk stay in the cache.
    num_rows = tl.cdiv(num_tokens, TOKENS)
    tile = tl.program_id(0) // num_rows
    tokens = (tl.program_id(0) % num_rows) * TOKENS + tl.arange(0, TOKENS)
    columns = tile * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((TOKENS, COLUMNS), WIDE)
    hidden_rows = hidden_ptr + tl.minimum(tokens, num_tokens - 1).to(tl.int64)[:, None] * hidden_stride
    weight_rows = weight_ptr + tl.minimum(columns, vocab - 1).to(tl.int64)[:, None] * weight_stride
    for start in range(0, d_model, DEPTH):
        inner = start + tl.arange(0, DEPTH)[None, :]
        left = tl.load(hidden_rows + inner, mask=inner < d_model, other=0.0)
        right = tl.load(weight_rows + inner, mask=inner < d_model, other=0.0)
        if WIDEN:
            left, right = left.to(tl.float32), right.to(tl.float32)
        total = tl.dot(left, tl.trans(right), total, input_precision=PRECISION, out_dtype=WIDE)
    if HAS_CAP:
        total = soft_cap * (1.0 - 2.0 / (tl.exp(2.0 * total / soft_cap) + 1.0))  # cap · tanh(logit / cap)
    stored = total.to(logits_ptr.dtype.element_ty)
    if KEEP:  # the padding of a row is written too: its end is aligned, that of the vocabulary is not
        inside = (tokens < num_tokens)[:, None] & (columns < logits_stride)[None, :]
        place = tokens.to(tl.int64)[:, None] * logits_stride + columns[None, :]
        tl.store(logits_ptr + place, stored, mask=inside)
    total = tl.where((columns < vocab)[None, :], stored.to(WIDE), float("-inf"))
    largest = tl.max(total, axis=1)
    sums = largest + tl.log(tl.sum(tl.exp(total - largest[:, None]), axis=1))
    place = tokens.to(tl.int64) * tl.cdiv(vocab, COLUMNS) + tile
    tl.store(sums_ptr + place, sums, mask=tokens < num_tokens)
    target = tl.load(targets_ptr + tokens, mask=tokens < num_tokens, other=-1)
    picked = tl.sum(tl.where(columns[None, :] == target[:, None], total, 0.0), axis=1)
    here = (target >= tile * COLUMNS) & (target < tl.minimum(tile * COLUMNS + COLUMNS, vocab))
    tl.store(picked_ptr + tokens, picked, mask=here)


@triton.jit
def _slopes(
    logits_ptr,
    sums_ptr,
    picked_ptr,
    targets_ptr,
    nats_ptr,
    normalizers_ptr,
    vocab,
    logits_stride,
    num_tiles,
    soft_cap,
    z_loss,
    HAS_CAP: tl.constexpr,
    KEEP: tl.constexpr,
    BLOCK: tl.constexpr,
    NUM_TILES: tl.constexpr,
    WIDE: tl.constexpr,
):
    token = tl.program_id(0).to(tl.int64)
    tiles = tl.arange(0, NUM_TILES)
    sums = tl.load(sums_ptr + token * num_tiles + tiles, mask=tiles < num_tiles, other=float("-inf"))
    largest = tl.max(sums, axis=0)
    normalizer = largest + tl.log(tl.sum(tl.exp(sums - largest), axis=0))
    tl.store(nats_ptr + token, normalizer - tl.load(picked_ptr + token))
    tl.store(normalizers_ptr + token, normalizer)
    if KEEP:
        target = tl.load(targets_ptr + token)
        factor = 1.0 + 2.0 * z_loss * normalizer
        row = logits_ptr + token * logits_stride
        for start in range(0, logits_stride, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            logit = tl.load(row + columns, mask=columns < logits_stride, other=0.0).to(WIDE)
            logit = tl.where(columns < vocab, logit, 0.0)  # those of the padding may hold anything
            slope = tl.exp(logit - normalizer) * factor
            slope = tl.where(columns == target, slope - 1.0, slope)
            if HAS_CAP:
                slope *= 1.0 - (logit / soft_cap) * (logit / soft_cap)
            slope = tl.where(columns < vocab, slope, 0.0)  # products read the padding too
            tl.store(row + columns, slope.to(logits_ptr.dtype.element_ty), mask=columns < logits_stride)
