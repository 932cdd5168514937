"""The device that the kernel tests run on: a GPU, or the CPU inside Triton's interpreter."""

import os

import pytest
import torch

from lm.kernels.backend import use_kernels


@pytest.fixture
def device():
    """The device of a kernel test, with the kernels switched on."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if not interpreted and not torch.cuda.is_available():
        pytest.skip("no CUDA device; test_interpreter.py runs this test in Triton's interpreter")
    with use_kernels("triton"):
        yield torch.device("cpu" if interpreted else "cuda")


def pytest_collection_modifyitems(items):
    """Mark the tests that take a device: `-m kernel` picks them for the interpreter."""
    for item in items:
        if "device" in getattr(item, "fixturenames", ()):
            item.add_marker("kernel")
