"""The launches in use, by case: every kernel at the shapes and types of Loam's models, on tensors without memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

WIDTHS = (16, 64, 768, 4_096, 8_192, 16_384)


def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor that has a shape and a type, but no memory."""
    return torch.empty(shape, dtype=dtype, device="meta")


def _rms_norm(width: int, dtype: torch.dtype, fused: bool) -> None:
    from lm.kernels.triton import rms_norm

    x, weight = empty(8_192, width, dtype=dtype), empty(width)
    residual = x if fused else None
    _, stream, inverse = rms_norm.forward(x, residual, weight, 1e-5, dtype)
    rms_norm.backward(x, residual, stream if fused else x, weight, inverse)


def _minhash(num_permutations: int) -> None:
    from lm.kernels import minhash

    bits = empty(num_permutations, dtype=torch.int32)
    places = empty(8, dtype=torch.int64)
    minhash.launch(
        empty(4_096, dtype=torch.int32),
        (places, places, places),
        bits,
        bits,
        empty(8, num_permutations, dtype=torch.int32),
    )


def _named(kernel: str, *parts: object) -> str:
    return f"{kernel} {', '.join(str(part).removeprefix('torch.') for part in parts if part != '')}"


LAUNCHES: dict[str, Callable[[], None]] = {
    **{
        _named("rms_norm", width, dtype, "residual" if fused else ""): partial(_rms_norm, width, dtype, fused)
        for width in WIDTHS
        for dtype in (torch.bfloat16, torch.float32)
        for fused in (False, True)
    },
    "minhash 112": partial(_minhash, 112),
}
