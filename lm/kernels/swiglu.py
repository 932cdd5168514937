"""SwiGLU's elementwise part: silu(gate) ⊙ up of one product that holds both (Shazeer 2020, eq. 6).

The gate and the multiplier are the two halves of the last axis, so that one matrix product makes them and one tensor
takes their gradients. The backward computes silu again: only the product is saved. Exponentials are in float32
(float64 for float64).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from lm.errors import ConfigurationError
from lm.kernels.backend import runs_kernel, type_limits


def swiglu(gate_up: Float[Tensor, "... both"]) -> Float[Tensor, "... d_ff"]:
    """Compute silu of the first half of the last axis, times the second half.

    Raises:
        ConfigurationError: an odd last axis.
    """
    if gate_up.shape[-1] % 2:
        raise ConfigurationError(f"swiglu: a last axis of {gate_up.shape[-1]}, expected gate and up of equal width")
    if not runs_kernel("swiglu", gate_up, type_limits(gate_up), fuses=True):
        return swiglu_reference(gate_up)
    found: Tensor = torch.ops.loam.swiglu(gate_up)
    return found


def swiglu_reference(gate_up: Float[Tensor, "... both"]) -> Float[Tensor, "... d_ff"]:
    """Compute the same by torch's operations."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up


@torch.library.custom_op("loam::swiglu", mutates_args=(), schema="(Tensor gate_up) -> Tensor")
def _forward(gate_up: Tensor) -> Tensor:
    from lm.kernels.triton import swiglu as kernels

    return kernels.forward(gate_up)


@_forward.register_fake
def _forward_fake(gate_up: Tensor) -> Tensor:
    return gate_up.new_empty((*gate_up.shape[:-1], gate_up.shape[-1] // 2))


@torch.library.custom_op("loam::swiglu_backward", mutates_args=(), schema="(Tensor gradient, Tensor gate_up) -> Tensor")
def _backward(gradient: Tensor, gate_up: Tensor) -> Tensor:
    from lm.kernels.triton import swiglu as kernels

    return kernels.backward(gradient, gate_up)


@_backward.register_fake
def _backward_fake(gradient: Tensor, gate_up: Tensor) -> Tensor:
    return gate_up.new_empty(gate_up.shape)


def _save(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradient(ctx: Any, gradient: Tensor) -> Tensor:
    [gate_up] = ctx.saved_tensors
    moved: Tensor = torch.ops.loam.swiglu_backward(gradient, gate_up)
    return moved


_forward.register_autograd(_gradient, setup_context=_save)
