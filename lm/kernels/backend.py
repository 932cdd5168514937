"""The switch between the Triton kernels and their PyTorch references.

- `auto`: kernels on a CUDA device, references elsewhere. A shape or type outside a kernel's limits takes the reference,
  and a warning names the limit once.
- `triton`: kernels only, on a CUDA device or in Triton's interpreter; anything else is refused.
- `reference`: references only.

The environment variable `LOAM_KERNELS` gives the choice at start; `use_kernels` changes it for a while.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Literal, get_args

import torch
from torch import Tensor

from lm.errors import ConfigurationError

Backend = Literal["auto", "triton", "reference"]
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

_HAS_TRITON = find_spec("triton") is not None
_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
_backend: str = os.environ.get("LOAM_KERNELS", "auto")
_reported: set[tuple[str, str]] = set()


class KernelFallbackWarning(UserWarning):
    """A reference runs on a CUDA device in place of a kernel."""


@contextmanager
def use_kernels(backend: Backend) -> Iterator[None]:
    """Take this backend inside the `with` block.

    Raises:
        ConfigurationError: an unknown name.
    """
    global _backend
    _check(backend, "use_kernels")
    before, _backend = _backend, backend
    try:
        yield
    finally:
        _backend = before


def runs_kernel(kernel: str, tensor: Tensor, limits: str = "", *, fuses: bool = False) -> bool:
    """Decide whether `kernel` runs on `tensor`; `limits` names what exceeds the kernel's limits, empty if nothing does.

    `fuses`: torch's compiler joins the reference with its neighbours, which the compiler cannot do with a kernel. So
    `auto` takes the reference while compiling. Which of the two is faster there is not measured.

    Raises:
        ConfigurationError: the backend is `triton`, and the kernel cannot run; or `LOAM_KERNELS` has an unknown value.
    """
    if _backend == "reference" or (_backend == "auto" and not tensor.is_cuda):
        return False
    _check(_backend, "LOAM_KERNELS")
    if fuses and _backend == "auto" and torch.compiler.is_compiling():
        return False
    if not _HAS_TRITON:
        limits = "triton is not installed"
    elif not tensor.is_cuda and not _INTERPRETED:
        limits = f"a tensor on {tensor.device}, expected a CUDA device or TRITON_INTERPRET=1"
    if limits and _backend == "triton":
        raise ConfigurationError(f"kernel {kernel}: {limits}")
    if limits:
        _report_once(kernel, limits)
    return not limits


def takes_gpu_path(tensor: Tensor) -> bool:
    """Return whether code around kernels takes its form for a GPU: products of one input joined, vocabularies padded.

    True on a CUDA device, and wherever kernels are forced, so that the interpreter runs the same form on a CPU.
    """
    return _backend == "triton" or (_backend == "auto" and tensor.is_cuda)


def forces_references() -> bool:
    """Return whether the switch says `reference`, also where no kernel of ours would run."""
    return _backend == "reference"


def type_limits(*tensors: Tensor | None) -> str:
    """Return the first type among the tensors that no kernel takes, as a message; empty if all are floats of 16 to 64
    bits.
    """
    wrong = [t.dtype for t in tensors if t is not None and t.dtype not in FLOATS]
    return f"a tensor of {wrong[0]}, expected float16, bfloat16, float32 or float64" if wrong else ""


def _report_once(kernel: str, limits: str) -> None:
    # A compiler cannot trace a warning; the eager call reports the same limits.
    if (kernel, limits) not in _reported and not torch.compiler.is_compiling():
        _reported.add((kernel, limits))
        warnings.warn(f"kernel {kernel}: {limits}; its reference runs instead", KernelFallbackWarning, stacklevel=4)


def _check(backend: str, source: str) -> None:
    if backend not in get_args(Backend):
        raise ConfigurationError(f"{source}: '{backend}', expected auto, triton or reference")
