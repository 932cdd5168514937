"""Where a run computes and in which type: float32 on a CPU, bfloat16 products over float32 weights on a GPU.

On a CPU without matrix units for it, bfloat16 is many times slower than float32.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor

from lm.errors import ConfigurationError


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one, else the CPU; any other name is torch's.

    Raises:
        ConfigurationError: no such device, or no GPU here.
    """
    has_cuda = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if has_cuda else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigurationError(f"device: '{name}', expected auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not has_cuda:
        raise ConfigurationError(f"device: '{name}', but this machine has no CUDA device; expected auto or cpu")
    return device


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 for matrix products on a GPU; on a CPU nothing changes."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


def widened(x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """In float32, or in float64 where it is; what sums and exponentials are made in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
