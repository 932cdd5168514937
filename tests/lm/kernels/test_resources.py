"""Every kernel and configuration in use, compiled ahead of time for sm_90: spills, registers and shared memory."""

import json

import pytest

from tests.lm.kernels.comparison import ROOT, in_child

MAX_REGISTERS = {
    "rms_norm": 128,
    "layer_norm": 128,
    "flash_attention": 255,
    "cross_entropy": 128,
    "swiglu": 64,
    "rope": 128,
    "adamw": 96,
    "minhash": 64,
}

CASES = (
    "rms_norm 768",
    "rms_norm 4096",
    "rms_norm 16384",
    "layer_norm 768",
    "layer_norm 4096",
    "layer_norm 16384",
    "flash_attention 64, bfloat16, causal",
    "flash_attention 128, bfloat16",
    "cross_entropy",
    "swiglu",
    "rope",
    "adamw",
    "minhash",
)
"""The shapes of Loam's presets, and the widest norm; without arguments the command prints every case."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kernels_fit_an_sm_90_gpu():
    pytest.importorskip("triton")
    output = in_child("-m", "benchmarks.kernel_resources", *CASES, TRITON_INTERPRET="0")
    rows = [json.loads(line) for line in output.splitlines()]
    assert {row["case"].split()[0] for row in rows} == set(MAX_REGISTERS)
    written = {path.stem for path in (ROOT / "lm/kernels/triton").glob("*.py") if "@triton.jit" in path.read_text()}
    compiled = {row["kernel"].removeprefix("triton.").split(".")[0] for row in rows}
    assert compiled == (written | {"minhash"}) - {"attention_tiles"}  # which has no kernel, only parts of them
    faults = {f"{row['case']}: {row['kernel']}": row["faults"] for row in rows if row["faults"]}
    assert not faults
    for row in rows:
        assert row["registers"] <= MAX_REGISTERS[row["case"].split()[0]], row
