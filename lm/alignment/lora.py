"""Low-rank adapters (LoRA): each linear map of the layers learns W + (α / r) B A instead of W.

A is `[r d_in]`, normal with variance 1 / d_in; B is `[d_out r]` and starts at 0, so that the model starts as it was.
The other weights are frozen: a step keeps gradients and moments of r (d_in + d_out) numbers a map. `merge_adapters`
adds the product to the weight, after which the model is an ordinary one. Source: Hu et al. 2021, arXiv:2106.09685.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lm.errors import ConfigurationError
from lm.model import TransformerLM
from lm.model.linear import Linear


class Adapter(nn.Module):
    """The parametrization of one weight."""

    def __init__(
        self, weight: Float[Tensor, "d_out d_in"], rank: int, alpha: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        d_out, d_in = weight.shape
        if rank > min(d_out, d_in):
            raise ConfigurationError(
                f"lora_rank: {rank}, expected at most {min(d_out, d_in)}, the smaller side of a matrix"
            )
        drawn = torch.randn(rank, d_in, generator=generator) / math.sqrt(d_in)
        self.a = nn.Parameter(drawn.to(weight))
        self.b = nn.Parameter(weight.new_zeros(d_out, rank))
        self.scale = alpha / rank

    def forward(self, weight: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        """Return the weight that the map multiplies by."""
        return weight + self.scale * (self.b @ self.a)


def add_adapters(model: TransformerLM, *, rank: int, alpha: float, seed: int) -> None:
    """Freeze the model and give every linear map of its layers an adapter; experts stay frozen.

    Raises:
        ConfigurationError: the rank is larger than a side of a map.
    """
    generator = torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    for module in model.layers.modules():
        if type(module) is Linear:
            parametrize.register_parametrization(module, "weight", Adapter(module.weight, rank, alpha, generator))


def adapter_tensors(model: TransformerLM) -> dict[str, Tensor]:
    """Return A and B of every map, under the names of the library `peft`."""
    found: dict[str, Tensor] = {}
    for name, adapter in _adapters(model):
        found[f"base_model.model.{name}.lora_A.weight"] = adapter.a.detach()
        found[f"base_model.model.{name}.lora_B.weight"] = adapter.b.detach()
    return found


def merge_adapters(model: TransformerLM) -> None:
    """Add every adapter to its weight; all weights of the model are trainable again."""
    for name, _ in list(_adapters(model)):
        parametrize.remove_parametrizations(model.get_submodule(name), "weight", leave_parametrized=True)
    model.requires_grad_(True)


def _adapters(model: TransformerLM) -> Iterator[tuple[str, Adapter]]:
    """Yield the adapters by the names of their maps."""
    for name, module in model.named_modules():
        if isinstance(module, Adapter):
            yield name.removesuffix(".parametrizations.weight.0"), module
