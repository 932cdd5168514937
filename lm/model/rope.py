"""Rotary position embeddings (Su et al. 2021, eq. 15): a pair of coordinates turns by an angle proportional to the
position.

Pair k of position i turns by i · Θ^(−2k/d), k = 0 … d/2 − 1, so that the product of a query and a key depends on the
distance alone. Two layouts say which coordinates are a pair: `interleaved` (2k, 2k+1), the paper's; `half` (k, k +
d/2), Llama's published weights. The tables are float32; the rotation is in float32 and returns the input's type.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Layout = Literal["interleaved", "half"]


class RotaryEmbedding(nn.Module):
    """Tables of cos and sin for `context_length` positions, and the rotation by them."""

    cos: Tensor
    sin: Tensor

    def __init__(
        self, d_head: int, context_length: int, theta: float = 10_000.0, layout: Layout = "interleaved"
    ) -> None:
        super().__init__()
        self.layout = layout
        # float64 while the table is made: float32 angles are off by 1e-4 at position 10⁴.
        pairs = torch.arange(0, d_head, 2, dtype=torch.float64)
        angles = torch.outer(torch.arange(context_length, dtype=torch.float64), theta ** (-pairs / d_head))
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)

    def tables(self, positions: Int[Tensor, "*batch seq"]) -> tuple[Tensor, Tensor]:
        """cos and sin at `positions`, with an axis for the heads: `[*batch 1 seq d_head/2]`."""
        return self.cos[positions].unsqueeze(-3), self.sin[positions].unsqueeze(-3)

    def forward(
        self, x: Float[Tensor, "batch heads seq d_head"], tables: tuple[Tensor, Tensor]
    ) -> Float[Tensor, "batch heads seq d_head"]:
        """Turn queries or keys by the angles of `tables(positions)`."""
        return rotate(x, *tables, self.layout)


def rotate(x: Tensor, cos: Tensor, sin: Tensor, layout: Layout) -> Tensor:
    """(a, b) → (a cos − b sin, a sin + b cos) for every pair of coordinates of the last axis."""
    wide = x.float()
    a, b = wide.unflatten(-1, (-1, 2)).unbind(-1) if layout == "interleaved" else wide.chunk(2, dim=-1)
    turned = (a * cos - b * sin, a * sin + b * cos)
    joined = torch.stack(turned, dim=-1).flatten(-2) if layout == "interleaved" else torch.cat(turned, dim=-1)
    return joined.to(x.dtype)
