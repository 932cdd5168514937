"""Throughput: the rate of a machine, the utilization of a run, the time of a training."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch

from lm.accounting.flops import training_flops_per_token
from lm.model.config import ModelConfig
from lm.model.precision import default_type

PEAK_BFLOAT16_FLOPS: Mapping[str, float] = {
    "A100": 312e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H200 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "B200": 2_250e12,
}
"""Dense bfloat16 products a second by the makers' data sheets, under a part of the device's name; the first that fits
counts. Without another word a name is that of the SXM module.
"""


def peak_flops(device: torch.device) -> float | None:
    """The data sheet's rate of this GPU; None for a CPU or an unknown GPU."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((rate for part, rate in PEAK_BFLOAT16_FLOPS.items() if part in name), None)


def measured_matmul_flops(
    device: torch.device, size: int = 0, seconds: float = 0.3, dtype: torch.dtype | None = None
) -> float:
    """Operations a second of square matrix products here, the best of several; `dtype` None is bfloat16 on a GPU,
    float32 on a CPU.
    """
    on_gpu = device.type == "cuda"
    size = size or (8_192 if on_gpu else 1_024)
    left, right = (torch.randn(size, size, device=device, dtype=dtype or default_type(device)) for _ in range(2))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end or best == float("inf"):
        started = time.perf_counter()
        left @ right
        if on_gpu:
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return 2.0 * size**3 / best


def model_flops_utilization(config: ModelConfig, tokens_per_s: float, machine_flops: float) -> float:
    """MFU (Chowdhery et al. 2022, appendix B): the share of the machine's rate that the model's own operations take.

    Recomputed activations do not count as work done.
    """
    return tokens_per_s * training_flops_per_token(config) / machine_flops


def training_seconds(config: ModelConfig, num_tokens: float, machine_flops: float, utilization: float = 0.4) -> float:
    """Return the seconds for `num_tokens` at a share `utilization` of the machine's rate."""
    return num_tokens * training_flops_per_token(config) / (machine_flops * utilization)
