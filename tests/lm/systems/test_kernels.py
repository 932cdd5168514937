"""Kernels that are measured: their bytes are those of inputs and results."""

import pytest
import torch

from lm.systems.config import SystemsConfig
from lm.systems.kernels import attention_flops_per_s, kernels

CPU = torch.device("cpu")


def test_bytes_are_those_of_inputs_and_results():
    config = SystemsConfig(num_rows=6, width=32)
    row = 4 * 6 * 32
    found = {kernel.name: kernel for kernel in kernels(config, CPU)}
    expected = {"RMSNorm": 2, "RMSNorm with residual": 4, "LayerNorm": 2, "SwiGLU": 3}
    assert {name: kernel.num_bytes / row for name, kernel in found.items()} == expected
    for kernel in found.values():
        result = kernel.call()
        for part in result if isinstance(result, tuple) else (result,):
            assert part.shape == (6, 32)


@pytest.mark.usefixtures("one_thread")
def test_attention_is_measured_by_both():
    found = attention_flops_per_s(SystemsConfig(d_head=8, seconds=0.001), CPU, 16)
    assert set(found) == {f"{name}{end}" for name in ("flash_attention", "torch") for end in ("", ", with backward")}
    assert all(value > 0 for value in found.values())
