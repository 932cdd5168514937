"""Fused linear cross-entropy: output layer and loss without the full logits.

The logits of a whole batch take tokens · vocabulary · 4 bytes, more than all else of a small model. Here they exist for
one chunk of tokens at a time, and the gradient is made while they are still in the cache. The loss is in float32 and
subtracts the maximum, so logits of 1000 do no harm. `lm.training.loss.token_losses` of `hidden @ weight.T` is the
reference that tests hold it to.

On a CUDA device two Triton kernels take a chunk: the product, which leaves each tile's log-sum-exp beside its logits,
and the slopes, which read each logit once and take its place (`lm.kernels.triton.cross_entropy`). The two products of
the gradient are torch's. Elsewhere torch's operations compute the chunk.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lm.kernels.backend import runs_kernel, type_limits
from lm.kernels.padding import padded_rows
from lm.model.precision import autocast_type, widened

_CHUNK_TOKENS_OF_A_CPU = 256
"""Of 64 to 1,024 tokens, 128 and 256 were fastest on a CPU: a chunk's logits stay in its cache."""
_CHUNK_LOGITS_ELSEWHERE = 2**28
"""A GPU wants large products; this many logits take 512 MiB in bfloat16."""


def linear_cross_entropy(
    hidden: Float[Tensor, "tokens d_model"],
    weight: Float[Tensor, "vocab d_model"],
    targets: Int[Tensor, " tokens"],
    *,
    soft_cap: float = 0.0,
    z_loss: float = 0.0,
) -> Float[Tensor, ""]:
    """Sum over the tokens of `token_losses(hidden @ weight.T, targets)`, in nats, without the logits of all tokens at
    once.

    With `soft_cap`, a logit l counts as cap · tanh(l / cap). `z_loss` is that of `linear_losses`, and part of the sum.
    Under autocast the matrix products run in its type; the sums of products and the loss stay in float32
    (float64 for float64 inputs).
    """
    return linear_losses(hidden, weight, targets, soft_cap=soft_cap, z_loss=z_loss)[0]


def linear_losses(
    hidden: Float[Tensor, "tokens d_model"],
    weight: Float[Tensor, "vocab d_model"],
    targets: Int[Tensor, " tokens"],
    *,
    soft_cap: float = 0.0,
    z_loss: float = 0.0,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the sum to train on and, without a gradient, the nats in it.

    sum = nats + z_loss · Σ (log Σ exp(logits))²: the second term keeps the normalizers near 1, so that logits do not
    drift away (Chowdhery et al. 2022, section 5, with z_loss = 1e-4).
    """
    # Inside of `apply` a parameter asks for its gradient even under `no_grad`.
    needs_gradient = torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)
    total, nats = _LinearCrossEntropy.apply(hidden, weight, targets, soft_cap, z_loss, needs_gradient)
    return total, nats


class _LinearCrossEntropy(torch.autograd.Function):
    """The gradient of the sum to the logits is (1 + 2 z log Σ exp) softmax − onehot(target): made in the forward pass,
    chunk by chunk.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        soft_cap: float,
        z_loss: float,
        needs_gradient: bool,
    ) -> tuple[Tensor, Tensor]:
        compute = autocast_type(hidden) or hidden.dtype
        runs = runs_kernel("cross_entropy", hidden, _limits(hidden.to(compute), weight))
        wide_hidden, wide_weight = hidden.to(compute), padded_rows(weight, compute) if runs else weight.to(compute)
        hidden_gradient = torch.empty_like(wide_hidden) if needs_gradient else None
        wide = torch.promote_types(compute, torch.float32)
        weight_gradient = torch.zeros_like(wide_weight, dtype=wide) if needs_gradient else None
        nats = torch.zeros((), dtype=wide, device=hidden.device)
        squares = torch.zeros_like(nats)
        take = partial(_kernel_chunk, vocab=len(weight)) if runs else _chunk
        size = chunk_tokens(hidden.device.type, len(weight))
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, len(hidden), size):
                rows = slice(start, start + size)
                more, normalizers, slope = take(
                    wide_hidden[rows], wide_weight, targets[rows], soft_cap, z_loss, needs_gradient
                )
                nats += more.sum()
                if z_loss:
                    squares += normalizers.square().sum()
                if slope is not None and hidden_gradient is not None and weight_gradient is not None:
                    torch.mm(slope, wide_weight, out=hidden_gradient[rows])
                    _add_product(weight_gradient, slope.T, wide_hidden[rows])
        ctx.save_for_backward(hidden_gradient, weight_gradient)
        ctx.types, ctx.vocab = (hidden.dtype, weight.dtype), len(weight)
        total = nats + z_loss * squares if z_loss else nats.clone()
        ctx.mark_non_differentiable(nats)
        return total, nats

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        scale = gradients[0]
        moved = (hidden_gradient * scale).to(ctx.types[0]), (weight_gradient[: ctx.vocab] * scale).to(ctx.types[1])
        return (*moved, None, None, None, None)


def chunk_tokens(device: str, vocab: int) -> int:
    """Return the tokens whose logits exist at once on a device of this type."""
    return (
        _CHUNK_TOKENS_OF_A_CPU if device == "cpu" else max(128, _CHUNK_LOGITS_ELSEWHERE // max(vocab, 1) // 128 * 128)
    )


def _limits(hidden: Tensor, weight: Tensor) -> str:
    if hidden.dtype == torch.float64 and hidden.is_cuda:
        return "float64, expected float16, bfloat16 or float32"
    return type_limits(hidden, weight)


def _chunk(
    hidden: Tensor, weight: Tensor, targets: Tensor, soft_cap: float, z_loss: float, needs_gradient: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the nats and normalizers of some tokens, and the slope of their sum to the logits in the type of
    `hidden`.
    """
    logits = widened(hidden @ weight.T)
    if soft_cap:
        logits = logits.div_(soft_cap).tanh_().mul_(soft_cap)
    index = targets.long().unsqueeze(-1)
    cap_slope = 1 - (logits / soft_cap).square() if soft_cap and needs_gradient else None
    picked, largest = logits.gather(-1, index), logits.amax(dim=-1, keepdim=True)
    # In place, a row at a time in the cache. The largest probability is 1 / Σ exp(logit − largest).
    probabilities = torch.softmax(logits, dim=-1, out=logits)
    normalizers = largest - probabilities.amax(dim=-1, keepdim=True).log()
    slope = _slope(probabilities, normalizers, index, cap_slope, z_loss).to(hidden.dtype) if needs_gradient else None
    return normalizers - picked, normalizers, slope


def _kernel_chunk(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    soft_cap: float,
    z_loss: float,
    needs_gradient: bool,
    *,
    vocab: int,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the same by the Triton kernels; the slopes of the padding of `weight` beyond `vocab` are 0."""
    slope, sums, picked = torch.ops.loam.head_logits(hidden, weight[:vocab], targets, soft_cap, needs_gradient)
    nats, normalizers = torch.ops.loam.head_slopes_(slope, sums, picked, targets, vocab, soft_cap, z_loss)
    return nats, normalizers, slope if needs_gradient else None


@torch.library.custom_op(
    "loam::head_logits",
    mutates_args=(),
    schema="(Tensor hidden, Tensor weight, Tensor targets, float soft_cap, bool keep) -> (Tensor, Tensor, Tensor)",
)
def _head_logits(
    hidden: Tensor, weight: Tensor, targets: Tensor, soft_cap: float, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    from lm.kernels.triton import cross_entropy as kernels

    return kernels.logits(hidden.contiguous(), weight.contiguous(), targets.contiguous(), soft_cap, keep)


@_head_logits.register_fake
def _head_logits_fake(
    hidden: Tensor, weight: Tensor, targets: Tensor, soft_cap: float, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    from lm.kernels.triton import cross_entropy as kernels

    return kernels.results(hidden, len(weight), keep)


@torch.library.custom_op(
    "loam::head_slopes_",
    mutates_args=("logits",),
    schema="(Tensor(a!) logits, Tensor sums, Tensor picked, Tensor targets, int vocab, float soft_cap, float z_loss) "
    "-> (Tensor, Tensor)",
)
def _head_slopes(
    logits: Tensor, sums: Tensor, picked: Tensor, targets: Tensor, vocab: int, soft_cap: float, z_loss: float
) -> tuple[Tensor, Tensor]:
    from lm.kernels.triton import cross_entropy as kernels

    return kernels.slopes(logits, sums, picked, targets.contiguous(), vocab, soft_cap, z_loss)


@_head_slopes.register_fake
def _head_slopes_fake(
    logits: Tensor, sums: Tensor, picked: Tensor, targets: Tensor, vocab: int, soft_cap: float, z_loss: float
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(picked), torch.empty_like(picked)


def _slope(
    probabilities: Tensor, normalizers: Tensor, index: Tensor, cap_slope: Tensor | None, z_loss: float
) -> Tensor:
    """Return the gradient of a chunk's sum to its logits, before the cap where there is one; takes the place of
    `probabilities`.
    """
    slope = probabilities
    if z_loss:
        slope *= 1 + 2 * z_loss * normalizers
    slope.scatter_add_(-1, index, slope.new_full((1, 1), -1.0).expand(index.shape))
    return slope if cap_slope is None else slope.mul_(cap_slope)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right
