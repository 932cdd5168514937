"""RMSNorm."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class RMSNorm(nn.Module):
    """y = g · x / sqrt(mean(x²) + ε) over the last axis (Zhang and Sennrich 2019, eq. 4, with ε inside the root as in
    Llama).

    Numerics: the mean, the root and the division are in float32, whatever the input; the result has the input's type.
    """

    def __init__(self, d_model: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.epsilon = epsilon

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Scale each vector to a root mean square of 1, then by the learned gain."""
        normed = F.rms_norm(x.float(), (x.shape[-1],), self.weight.float(), self.epsilon)
        return normed.to(x.dtype)


def rms_norm_reference(
    x: Float[Tensor, "... d_model"], weight: Float[Tensor, " d_model"], epsilon: float = 1e-5
) -> Float[Tensor, "... d_model"]:
    """The formula of `RMSNorm` written out; tests hold the module to it."""
    wide = x.float()
    inverse = torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + epsilon)
    return (wide * inverse * weight.float()).to(x.dtype)
