"""Rotary position embeddings (Su et al. 2021, eq. 15): a pair of coordinates turns by an angle proportional to the
position.

Pair k of position i turns by i · Θ^(−2k/d), k = 0 … d/2 − 1, so that the product of a query and a key depends on the
distance alone. Two layouts say which coordinates are a pair: `interleaved` (2k, 2k+1), the paper's; `half` (k, k +
d/2), Llama's published weights. The tables are float32; the rotation is in float32 and returns the input's type.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lm.errors import ConfigurationError
from lm.kernels.rope import Layout, rope, rotate
from lm.model.config import ModelConfig


@dataclass(frozen=True, slots=True)
class Rotation:
    """The turn of some positions: call it on queries or keys with the heads behind the positions."""

    cos: Float[Tensor, "*batch seq 1 pairs"]
    sin: Float[Tensor, "*batch seq 1 pairs"]
    layout: Layout

    def __call__(self, x: Float[Tensor, "batch seq heads d_head"]) -> Float[Tensor, "batch seq heads d_head"]:
        """Return `x` turned."""
        return rotate(x, self.cos, self.sin, self.layout)

    def both(
        self, q: Float[Tensor, "batch seq heads d_head"], k: Float[Tensor, "batch seq kv_heads d_head"]
    ) -> tuple[Float[Tensor, "batch seq heads d_head"], Float[Tensor, "batch seq kv_heads d_head"]]:
        """Return queries and keys turned, on a GPU in one launch."""
        return rope(q, k, self.cos.squeeze(-2), self.sin.squeeze(-2), self.layout)


class RotaryEmbedding(nn.Module):
    """Tables of cos and sin for `context_length` positions, and the rotation by them.

    `factor` above 1 is Llama 3's stretching from `original_context` tokens; see `frequencies`.

    Raises:
        ConfigurationError: an odd `d_head`.
    """

    cos: Tensor
    sin: Tensor

    def __init__(
        self,
        d_head: int,
        context_length: int,
        theta: float = 10_000.0,
        layout: Layout = "interleaved",
        *,
        factor: float = 1.0,
        original_context: int = 0,
    ) -> None:
        super().__init__()
        if d_head % 2:
            raise ConfigurationError(f"RotaryEmbedding: d_head {d_head}, expected an even number, which RoPE can pair")
        self.layout, self.d_head, self.context_length = layout, d_head, context_length
        self._settings = (d_head, context_length, theta, factor, original_context)
        self.reset_buffers()

    def reset_buffers(self, device: torch.device | None = None) -> None:
        """Make the tables, which are not part of a saved state."""
        d_head, context_length, theta, factor, original_context = self._settings
        # float64 while the table is made: float32 angles are off by 1e-4 at position 10⁴.
        positions = torch.arange(context_length, dtype=torch.float64, device=device)
        turning = frequencies(d_head, theta, factor, original_context)
        angles = torch.outer(positions, turning.to(positions.device))
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> RotaryEmbedding:
        """Move with the model, but stay in float32 where the model is cast: angles of far positions need it."""
        super()._apply(fn, recurse)
        if self.cos.dtype != torch.float32:
            self.reset_buffers(self.cos.device)
        return self

    def first(self, num_positions: int, start: int = 0) -> Rotation:
        """Return the rotation at `num_positions` positions from `start` on.

        Raises:
            ConfigurationError: the table ends before.
        """
        end = start + num_positions
        if end > self.context_length:
            raise ConfigurationError(f"{end} tokens, more than RoPE's context_length = {self.context_length}")
        return self.at(torch.arange(start, end, device=self.cos.device))

    def at(self, positions: Int[Tensor, "*batch seq"]) -> Rotation:
        """Return the rotation at `positions`."""
        return Rotation(self.cos[positions].unsqueeze(-2), self.sin[positions].unsqueeze(-2), self.layout)

    def forward(
        self, x: Float[Tensor, "... seq d_head"], positions: Int[Tensor, "*batch seq"]
    ) -> Float[Tensor, "... seq d_head"]:
        """Turn queries or keys; axes of `x` between `batch` and `seq` (heads) turn alike."""
        cos, sin = self.cos[positions], self.sin[positions]
        while positions.ndim > 1 and cos.ndim < x.ndim:
            cos, sin = cos.unsqueeze(-3), sin.unsqueeze(-3)
        return rotate(x, cos, sin, self.layout)


def frequencies(
    d_head: int, theta: float = 10_000.0, factor: float = 1.0, original_context: int = 0
) -> Float[Tensor, " pairs"]:
    """Return the angle per position of every pair, Θ^(−2k/d), in float64.

    With `factor`, as in Llama 3.1: a pair that turns less than once in `original_context` positions turns `factor`
    times slower, one that turns more than 4 times stays, and between the two the change is linear in the turns.
    """
    turning = theta ** (-torch.arange(0, d_head, 2, dtype=torch.float64) / d_head)
    if factor == 1.0:
        return turning
    turns = original_context * turning / (2 * math.pi)
    kept = ((turns - 1.0) / (4.0 - 1.0)).clamp(0.0, 1.0)
    return turning * (kept + (1.0 - kept) / factor)


def rotary_embedding(config: ModelConfig) -> RotaryEmbedding:
    """Return RoPE's tables for a model of this shape."""
    return RotaryEmbedding(
        config.d_rope or config.d_head,
        config.context_length,
        config.rope_theta,
        config.rope_layout,
        factor=config.rope_factor,
        original_context=config.rope_original_context,
    )
