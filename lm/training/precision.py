"""Numerics of a training: the type of matrix products, and deterministic kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lm.model.precision import default_type

_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def compute_type(precision: str, device: torch.device) -> torch.dtype:
    """Return the type of matrix products: `auto` is bfloat16 on a GPU and float32 on a CPU, where bfloat16 is slow."""
    return default_type(device) if precision == "auto" else _TYPES[precision]


@contextmanager
def deterministic_kernels(wanted: bool) -> Iterator[None]:
    """Use only kernels that give the same bits every time within the block; torch refuses operations without one."""
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    # cuBLAS reads it when it starts; without it, its products may differ between streams.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = benchmark
