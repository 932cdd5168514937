"""Tensor parallelism: the matrices of a layer split over ranks that all see the same tokens (Shoeybi et al. 2019).

    y = f(x W₁ᵀ) W₂ᵀ    W₁ split by rows (its outputs), W₂ by columns (its inputs): one sum over the ranks at the end

Attention is split by heads, the feed-forward layer by its inner width, embedding and output layer by the vocabulary. A
layer sends four all-reduces of its stream a step: one behind attention and one behind the feed-forward layer, in the
forward and in the backward pass. Norms are computed on every rank and stay equal.

`TensorParallel(model)` splits a `TransformerLM`; the ranks of a group see the same batch. With data parallelism around
it (`grid`, `DDP(…, group=data)`) the two axes are independent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lm.errors import ConfigurationError
from lm.model import TransformerLM
from lm.model.attention import CausalSelfAttention
from lm.model.mlp import GatedMLP, PlainMLP
from lm.parallel.collectives import Group, all_gather, num_ranks, rank_in, sum_over_ranks
from lm.parallel.vocabulary import VocabParallelEmbedding, copied, summed, vocab_parallel_losses


class RowParallelLinear(nn.Module):
    """A linear map of which each rank has the columns for its part of the input; outputs are summed over the ranks."""

    def __init__(self, linear: Any, group: Group) -> None:
        super().__init__()
        self.group = group
        self.bias: nn.Parameter | None = linear.bias
        self.weight = _part(linear.weight, 1, group)

    def forward(self, x: Float[Tensor, "... part"]) -> Float[Tensor, "... d_out"]:
        """Multiply, sum over the ranks, add the bias once."""
        y = summed(F.linear(x, self.weight), self.group)
        return y if self.bias is None else y + self.bias


class TensorParallel(nn.Module):
    """A `TransformerLM` split over the ranks of a group.

    Args:
        module: equal on all ranks of the group; its layers are split in place. Experts, latent attention and
            state-space layers are not.

    Raises:
        ConfigurationError: heads, inner width or vocabulary that the ranks do not divide, or a layer of another kind.
    """

    def __init__(self, module: TransformerLM, group: Group = None) -> None:
        super().__init__()
        self.module, self.group = module, group
        _refuse_uneven(module, num_ranks(group))
        self.split_axes: dict[str, int] = {}
        layer: Any
        for layer in module.layers:
            _split_attention(layer.attn, group)
            _split_feed_forward(layer.ffn, group)
        tied = module.lm_head.weight is module.token_embeddings.weight
        module.token_embeddings = VocabParallelEmbedding(  # type: ignore[assignment]
            _part(module.token_embeddings.weight, 0, group), group
        )
        module.lm_head.weight = module.token_embeddings.weight if tied else _part(module.lm_head.weight, 0, group)
        for name, parameter in module.named_parameters(remove_duplicate=False):
            if (axis := getattr(parameter, "split_axis", None)) is not None:
                self.split_axes[name] = axis

    def forward(self, ids: Int[Tensor, "batch seq"], targets: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq"]:
        """Return −log p(target) of every position, in nats; no rank ever has all logits."""
        hidden = copied(self.module.hidden(ids), self.group)
        return vocab_parallel_losses(self.module.logits(hidden), targets, self.group)

    @torch.no_grad()
    def gather_full_parameters(self) -> dict[str, Tensor]:
        """Return copies of all whole parameters by their names in `module`; all ranks of the group call it."""
        found = {}
        for name, parameter in self.module.named_parameters(remove_duplicate=False):
            if name not in self.split_axes:
                found[name] = parameter.detach().clone()
                continue
            flat = parameter.new_empty(num_ranks(self.group) * parameter.numel())
            all_gather(flat, parameter.detach().contiguous().view(-1), self.group).wait()
            parts = flat.view(num_ranks(self.group), *parameter.shape)
            found[name] = torch.cat(list(parts), dim=self.split_axes[name])
        return found

    @torch.no_grad()
    def clip_gradients(self, max_norm: float, epsilon: float = 1e-6) -> Tensor:
        """Scale the gradients where their norm exceeds `max_norm`; split ones are summed over the ranks."""
        parameters = [parameter for parameter in self.module.parameters() if parameter.grad is not None]
        squares = torch.zeros(2, device=parameters[0].device)
        for parameter in parameters:
            assert parameter.grad is not None
            squares[int(hasattr(parameter, "split_axis"))] += parameter.grad.float().square().sum()
        norm = (squares[0] + sum_over_ranks(squares[1:], self.group)[0]).sqrt()
        gradients: list[Any] = [parameter.grad for parameter in parameters]
        torch._foreach_mul_(gradients, (max_norm / (norm + epsilon)).clamp(max=1.0))
        return norm


def grid(tensor_ranks: int) -> tuple[dist.ProcessGroup, dist.ProcessGroup]:
    """Return this rank's groups for data and for tensor parallelism: neighbours share tensors, `[data tensor]`.

    Raises:
        ConfigurationError: `tensor_ranks` does not divide the ranks.
    """
    world = dist.get_world_size()
    if tensor_ranks < 1 or world % tensor_ranks:
        raise ConfigurationError(f"tensor_ranks: {tensor_ranks}, expected a divisor of the {world} ranks")
    own: dict[str, dist.ProcessGroup] = {}
    rows = [list(range(first, first + tensor_ranks)) for first in range(0, world, tensor_ranks)]
    for axis, groups in (("tensor", rows), ("data", [list(column) for column in zip(*rows, strict=True)])):
        for ranks in groups:
            group = dist.new_group(ranks)
            if dist.get_rank() in ranks:
                own[axis] = group
    return own["data"], own["tensor"]


def _split_attention(attention: nn.Module, group: Group) -> None:
    if not isinstance(attention, CausalSelfAttention):
        raise ConfigurationError(f"tensor parallelism: a {type(attention).__name__}, expected plain attention")
    _split_columns((attention.q_proj, attention.k_proj, attention.v_proj), group)
    attention.output_proj = RowParallelLinear(attention.output_proj, group)  # type: ignore[assignment]
    for norm in (attention.q_norm, attention.k_norm):
        for parameter in [] if norm is None else norm.parameters():
            _sum_gradient(parameter, group)  # each rank has the gradient of its own heads
    _copy_input(attention, group)


def _split_feed_forward(layer: nn.Module, group: Group) -> None:
    if not isinstance(layer, GatedMLP | PlainMLP):
        raise ConfigurationError(f"tensor parallelism: a {type(layer).__name__}, expected a single feed-forward layer")
    _split_columns([layer.w1, *([layer.w3] if isinstance(layer, GatedMLP) else [])], group)
    layer.w2 = RowParallelLinear(layer.w2, group)  # type: ignore[assignment]
    _copy_input(layer, group)


def _split_columns(maps: Iterable[Any], group: Group) -> None:
    """Leave each rank its part of the outputs; the layer's input is the same on all ranks."""
    for each in maps:
        each.weight = _part(each.weight, 0, group)
        if each.bias is not None:
            each.bias = _part(each.bias, 0, group)


def _copy_input(layer: nn.Module, group: Group) -> None:
    """Sum the gradient of a layer's input over the ranks: once, however many maps read it."""
    layer.register_forward_pre_hook(lambda module, arguments: (copied(arguments[0], group), *arguments[1:]))


def _sum_gradient(parameter: Tensor, group: Group) -> None:
    parameter.register_hook(lambda gradient: sum_over_ranks(gradient, group))


def _part(weight: Any, axis: int, group: Group) -> nn.Parameter:
    part = weight.detach().chunk(num_ranks(group), dim=axis)[rank_in(group)].clone()
    parameter = nn.Parameter(part, requires_grad=weight.requires_grad)
    parameter.split_axis = axis  # type: ignore[attr-defined]
    return parameter


def _refuse_uneven(model: TransformerLM, ranks: int) -> None:
    for name in ("num_heads", "num_kv_heads", "d_ff", "vocab_size"):
        if getattr(model.config, name) % ranks:
            raise ConfigurationError(
                f"model.{name}: {getattr(model.config, name)}, expected a multiple of tensor_parallel = {ranks}"
            )
