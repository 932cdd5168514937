"""Kernels against float64 references: errors, tolerances by type, and a child process."""

import os
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[3]
TOLERANCES = {torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1e-2}
"""Largest ‖found − expected‖ / ‖expected‖. The interpreter truncates to bfloat16 where a GPU rounds."""


def relative_error(found, expected):
    """‖found − expected‖ / ‖expected‖ in float64, NaN where `found` has one."""
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    return float((found - expected).norm() / expected.norm().clamp_min(1e-30))


def assert_near(found, expected, dtype, *, factor=1.0):
    """Hold `found` to `expected` by the tolerance of `dtype`."""
    assert found.shape == expected.shape
    assert relative_error(found, expected) <= TOLERANCES[dtype] * factor


def in_child(*arguments, **environment):
    """Run Python with these arguments at the repository's root and return its output; it must succeed."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
