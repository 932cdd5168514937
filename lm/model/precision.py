"""Device and numeric precision of a run: float32 on a CPU, bfloat16 products over float32 weights on a GPU.

On a CPU without matrix units for it, bfloat16 is many times slower than float32.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor

from lm.errors import ConfigurationError


def choose_device(name: str) -> torch.device:
    """Return the device of a name: `auto` is the GPU where there is one, else the CPU; others are cpu, cuda and cuda:N.

    Raises:
        ConfigurationError: no such device, or not on this machine.
    """
    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if num_gpus else "cpu")
    found = re.fullmatch(r"cpu|cuda(?::(0|[1-9][0-9]{0,2}))?", name)
    if found is None:
        raise ConfigurationError(f"device: '{name}', expected auto, cpu, cuda or cuda:N")
    if name != "cpu" and int(found[1] or 0) >= num_gpus:
        found_here = f"{num_gpus or 'no'} CUDA device{'s' * (num_gpus != 1)}"
        raise ConfigurationError(f"device: '{name}', but this machine has {found_here}; expected auto")
    return torch.device(name)


def default_type(device: torch.device) -> torch.dtype:
    """Return the type of matrix products: bfloat16 on a GPU, float32 on a CPU."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def autocast(device: torch.device, dtype: torch.dtype | None = None) -> AbstractContextManager[object]:
    """Return a context with matrix products in `dtype` (None: `default_type`) over float32 weights; float32 changes
    nothing.
    """
    dtype = dtype or default_type(device)
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)


def autocast_type(x: Tensor) -> torch.dtype | None:
    """Return the type of matrix products under autocast on the device of `x`; None without autocast."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def widened(x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Return `x` in float32, or in float64 where it is; the type of sums and exponentials."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
