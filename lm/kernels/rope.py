"""Rotary position embeddings on queries and keys in one launch: in place, or into new memory.

(a, b) → (a cos − b sin, a sin + b cos) for each pair of coordinates (Su et al. 2021, eq. 15). `interleaved` pairs
(2k, 2k+1), the paper's layout; `half` pairs (k, k + d/2), Llama's. The tables are float32 and the rotation is computed
in float32 (float64 for float64). The gradient of a rotation is the rotation back, so nothing but the tables is saved.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lm.errors import ConfigurationError
from lm.kernels.backend import runs_kernel, type_limits

MAX_D_HEAD = 1_024
Layout = Literal["interleaved", "half"]


def rope_(
    q: Float[Tensor, "batch seq heads d_head"],
    k: Float[Tensor, "batch seq kv_heads d_head"],
    cos: Float[Tensor, "*batch2 seq pairs"],
    sin: Float[Tensor, "*batch2 seq pairs"],
    layout: Layout = "interleaved",
) -> tuple[Float[Tensor, "batch seq heads d_head"], Float[Tensor, "batch seq kv_heads d_head"]]:
    """Rotate q and k in place and return them; `cos` and `sin` are `[seq pairs]` or `[batch seq pairs]`.

    With gradients each of the two takes a launch: autograd allows a function one output in the place of a view.

    Raises:
        ConfigurationError: shapes that do not fit together, or an unknown layout.
    """
    _check(q, k, cos, sin, layout)
    if not runs_kernel("rope", q, _limits(q, k), fuses=True):
        cos, sin = cos.unsqueeze(-2), sin.unsqueeze(-2)
        return q.copy_(rotate(q, cos, sin, layout)), k.copy_(rotate(k, cos, sin, layout))
    if torch.is_grad_enabled() and (q.requires_grad or k.requires_grad):
        return _InPlace.apply(q, cos, sin, layout == "half"), _InPlace.apply(k, cos, sin, layout == "half")
    torch.ops.loam.rope_(q, k, cos, sin, layout == "half", False)
    return q, k


def rope(
    q: Float[Tensor, "batch seq heads d_head"],
    k: Float[Tensor, "batch seq kv_heads d_head"],
    cos: Float[Tensor, "*batch2 seq pairs"],
    sin: Float[Tensor, "*batch2 seq pairs"],
    layout: Layout = "interleaved",
) -> tuple[Float[Tensor, "batch seq heads d_head"], Float[Tensor, "batch seq kv_heads d_head"]]:
    """Return q and k rotated, in new memory; the arguments and errors are those of `rope_`."""
    _check(q, k, cos, sin, layout)
    if not runs_kernel("rope", q, _limits(q, k), fuses=True):
        cos, sin = cos.unsqueeze(-2), sin.unsqueeze(-2)
        return rotate(q, cos, sin, layout), rotate(k, cos, sin, layout)
    found: tuple[Tensor, Tensor] = torch.ops.loam.rope(q, k, cos, sin, layout == "half", False)
    return found


def _limits(q: Tensor, k: Tensor) -> str:
    return f"d_head {q.shape[-1]}, expected at most {MAX_D_HEAD:,}" if q.shape[-1] > MAX_D_HEAD else type_limits(q, k)


def rotate(
    x: Float[Tensor, "*axes d_head"],
    cos: Float[Tensor, "*axes2 pairs"],
    sin: Float[Tensor, "*axes2 pairs"],
    layout: Layout,
) -> Float[Tensor, "*axes d_head"]:
    """Rotate every pair of coordinates of the last axis by torch's operations; the tables broadcast."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    a, b = wide.unflatten(-1, (-1, 2)).unbind(-1) if layout == "interleaved" else wide.chunk(2, dim=-1)
    turned = (a * cos - b * sin, a * sin + b * cos)
    joined = torch.stack(turned, dim=-1).flatten(-2) if layout == "interleaved" else torch.cat(turned, dim=-1)
    return joined.to(x.dtype)


def _check(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, layout: str) -> None:
    expected = q.shape[1], q.shape[-1] // 2
    fits = q.shape[-1] == k.shape[-1] and q.shape[:2] == k.shape[:2] and cos.shape == sin.shape
    if not fits or q.shape[-1] % 2 or cos.shape[-2:] != expected or cos.shape[:-2] not in ((), (1,), q.shape[:1]):
        shapes = f"q {list(q.shape)}, k {list(k.shape)}, cos {list(cos.shape)}, sin {list(sin.shape)}"
        raise ConfigurationError(f"rope_: {shapes}, expected equal even d_head, and tables [(batch) seq d_head / 2]")
    if layout not in ("interleaved", "half"):
        raise ConfigurationError(f"rope_: layout '{layout}', expected interleaved or half")


class _InPlace(torch.autograd.Function):
    """The rotation of one tensor in its place; backward, that of a copy of the gradient by the negative angles."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor, is_half: bool) -> Tensor:
        torch.ops.loam.rope_(x, x[:, :, :0], cos, sin, is_half, False)
        ctx.mark_dirty(x)
        ctx.save_for_backward(cos, sin)
        ctx.is_half = is_half
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        # Not in place: a gradient may be shared with other parts of the graph.
        [gradient] = gradients
        return torch.ops.loam.rope(gradient, gradient[:, :, :0], cos, sin, ctx.is_half, True)[0], None, None, None


@torch.library.custom_op(
    "loam::rope_",
    mutates_args=("q", "k"),
    schema="(Tensor(a!) q, Tensor(b!) k, Tensor cos, Tensor sin, bool is_half, bool back) -> ()",
)
def _rotate_in_place(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, is_half: bool, back: bool) -> None:
    from lm.kernels.triton import rope as kernels

    kernels.rotate((q, k), (q, k), cos, sin, is_half, back)


@_rotate_in_place.register_fake
def _rotate_in_place_fake(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, is_half: bool, back: bool) -> None:
    return None


@torch.library.custom_op(
    "loam::rope",
    mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor cos, Tensor sin, bool is_half, bool back) -> (Tensor, Tensor)",
)
def _rotate(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, is_half: bool, back: bool) -> tuple[Tensor, Tensor]:
    from lm.kernels.triton import rope as kernels

    results = q.new_empty(q.shape), k.new_empty(k.shape)
    kernels.rotate((q, k), results, cos, sin, is_half, back)
    return results


@_rotate.register_fake
def _rotate_fake(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, is_half: bool, back: bool) -> tuple[Tensor, Tensor]:
    return q.new_empty(q.shape), k.new_empty(k.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    _, _, cos, sin, ctx.is_half, ctx.back = inputs
    ctx.save_for_backward(cos, sin)


def _gradients(ctx: Any, to_q: Tensor, to_k: Tensor) -> tuple[Tensor | None, ...]:
    back = torch.ops.loam.rope(to_q, to_k, *ctx.saved_tensors, ctx.is_half, not ctx.back)
    return (*back, None, None, None, None)


_rotate.register_autograd(_gradients, setup_context=_save)
