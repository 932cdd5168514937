"""Kernels and attention, measured: bandwidth as a share of a copy's, products as a share of a square product's.

What runs is what training runs on the device: Triton kernels on a GPU, the PyTorch references on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lm.kernels.flash_attention import flash_attention
from lm.kernels.layer_norm import layer_norm
from lm.kernels.rms_norm import add_rms_norm, rms_norm
from lm.kernels.swiglu import swiglu
from lm.model.precision import default_type
from lm.systems.config import SystemsConfig
from lm.systems.timing import timed_on

_HEADS, _WINDOWS = 8, 2


@dataclass(frozen=True, slots=True)
class Kernel:
    """A call that moves `num_bytes` at least: each input read once, each result written once."""

    name: str
    call: Callable[[], Any]
    num_bytes: float


def kernels(config: SystemsConfig, device: torch.device) -> Iterator[Kernel]:
    """Yield the forward passes of the elementwise kernels at the shape of the configuration."""
    dtype = default_type(device)
    x, residual = (torch.randn(config.num_rows, config.width, device=device).to(dtype) for _ in range(2))
    gain, bias = (torch.randn(config.width, device=device) for _ in range(2))
    both = torch.randn(config.num_rows, 2 * config.width, device=device).to(dtype)
    size = x.numel() * x.element_size()
    yield Kernel("RMSNorm", partial(rms_norm, x, gain), 2 * size)
    yield Kernel("RMSNorm with residual", partial(add_rms_norm, x, residual, gain), 4 * size)
    yield Kernel("LayerNorm", partial(layer_norm, x, gain, bias), 2 * size)
    yield Kernel("SwiGLU", partial(swiglu, both), 3 * size)


def attention_flops_per_s(config: SystemsConfig, device: torch.device, context: int) -> dict[str, float]:
    """Return operations a second of causal attention, forward and with its backward, by Loam's kernel and torch's.

    Causal attention counts half of the products of all pairs; the backward counts 2.5 times the forward.
    """
    shape = (_WINDOWS, _HEADS, context, config.d_head)
    q, k, v = (torch.randn(shape, device=device).to(default_type(device)).requires_grad_() for _ in range(3))
    slope = torch.randn_like(q)
    products = 2 * 2 * _WINDOWS * _HEADS * context**2 * config.d_head / 2
    ways: dict[str, Callable[..., Tensor]] = {
        "flash_attention": lambda: flash_attention(q, k, v, True),
        "torch": lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True),
    }
    found = {}
    for name, forward in ways.items():
        both = partial(_backward_of, forward, (q, k, v), slope)
        for label, work, share in ((name, forward, 1.0), (f"{name}, with backward", both, 3.5)):
            found[label] = share * products / timed_on(device, work, seconds=config.seconds, warm_calls=1).median
    return found


def _backward_of(forward: Callable[[], Tensor], inputs: tuple[Tensor, ...], slope: Tensor) -> Any:
    return torch.autograd.grad(forward(), inputs, slope)
