"""Throughput: the rate of a machine, the utilization of a run, the time and cost of a training."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import torch

from lm.accounting.devices import Device, device_of
from lm.accounting.flops import Convention, training_flops_per_token
from lm.model.config import ModelConfig
from lm.model.precision import default_type


def peak_flops(device: torch.device) -> float | None:
    """Return the data sheet's rate of this GPU for bfloat16; None for a CPU or an unknown GPU."""
    if device.type != "cuda":
        return None
    known = device_of(torch.cuda.get_device_name(device))
    return None if known is None else known.peak("bfloat16")


def measured_matmul_flops(
    device: torch.device, size: int = 0, seconds: float = 0.3, dtype: torch.dtype | None = None
) -> float:
    """Return operations a second of square matrix products here, the best of several; `dtype` None is bfloat16 on a
    GPU, float32 on a CPU.
    """
    size = size or (8_192 if device.type == "cuda" else 1_024)
    left, right = (torch.randn(size, size, device=device, dtype=dtype or default_type(device)) for _ in range(2))
    return 2.0 * size**3 / _fastest(lambda: left @ right, device, seconds)


def measured_copy_bytes_per_s(device: torch.device, size_bytes: int = 0, seconds: float = 0.1) -> float:
    """Return bytes read and written a second by a copy on the device, the best of several."""
    size = size_bytes or (2**30 if device.type == "cuda" else 2**26)
    source = torch.zeros(size // 4, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    return 2.0 * size / _fastest(lambda: target.copy_(source), device, seconds)


def measured_cpu() -> Device:
    """Return this machine's processor as a device: its rate of matrix products in float32 and its bandwidth, measured
    now, and its whole memory.
    """
    cpu = torch.device("cpu")
    return Device(
        name=f"CPU with {torch.get_num_threads()} threads",
        peak_flops={"float32": measured_matmul_flops(cpu)},
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        memory_bytes_per_s=measured_copy_bytes_per_s(cpu),
        link_bytes_per_s=0.0,
        source="measured on this machine",
    )


def model_flops_utilization(
    config: ModelConfig, tokens_per_s: float, machine_flops: float, convention: Convention = "causal"
) -> float:
    """Return the MFU (Chowdhery et al. 2022, appendix B): the share of the machine's rate that the model's own
    operations take.

    Published figures count the `square`; `causal` counts attended keys alone and is never higher. Recomputed
    activations and the optimizer do not count as work done.
    """
    return tokens_per_s * training_flops_per_token(config, convention=convention) / machine_flops


def training_seconds(
    config: ModelConfig,
    num_tokens: float,
    machine_flops: float,
    utilization: float = 0.4,
    convention: Convention = "causal",
) -> float:
    """Return the seconds for `num_tokens` at a share `utilization` of the machine's rate."""
    return seconds_for(num_tokens * training_flops_per_token(config, convention=convention), machine_flops, utilization)


def seconds_for(flops: float, machine_flops: float, utilization: float, num_devices: int = 1) -> float:
    """Return FLOPs / (devices · peak · MFU)."""
    return flops / (num_devices * machine_flops * utilization)


def _fastest(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end or best == float("inf"):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return best
