"""Positions as vectors added to the embeddings: learned, or sines and cosines. RoPE is in `lm.model.rope`."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lm.model.config import ModelConfig
from lm.model.linear import Embedding


class SinusoidalEmbedding(nn.Module):
    """PE(i, 2k) = s sin(i · 10000^(−2k/d)), PE(i, 2k+1) = s cos(…) (Vaswani et al. 2017, section 3.5).

    The paper multiplies the embeddings instead of dividing these; `scale` is s, the size of the embeddings.
    """

    weight: Tensor

    def __init__(self, context_length: int, d_model: int, scale: float = 1.0) -> None:
        super().__init__()
        self._settings = (context_length, d_model, scale)
        self.reset_buffers()

    def reset_buffers(self, device: torch.device | None = None) -> None:
        """Make the table, which is not part of a saved state."""
        context_length, d_model, scale = self._settings
        positions = torch.arange(context_length, dtype=torch.float64, device=device)
        pairs = torch.arange(0, d_model, 2, dtype=torch.float64, device=device)
        angles = torch.outer(positions, 10_000.0 ** (-pairs / d_model))
        table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
        self.register_buffer("weight", (scale * table).float(), persistent=False)

    def forward(self, positions: Int[Tensor, "*axes"]) -> Float[Tensor, "*axes d_model"]:
        """Return the vectors of these positions."""
        return self.weight[positions]


def make_position_embedding(config: ModelConfig, std: float) -> nn.Module | None:
    """Return the table added to embeddings of deviation `std`; None without a table."""
    if config.position == "learned":
        return Embedding(config.context_length, config.d_model, std)
    if config.position == "sinusoidal":
        return SinusoidalEmbedding(config.context_length, config.d_model, std * 2**0.5)
    return None
