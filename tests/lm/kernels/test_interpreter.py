"""All kernel tests of this folder once more in Triton's interpreter, which needs a process of its own."""

import re

import numpy as np
import pytest

from tests.lm.kernels.comparison import in_child


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kernels_in_the_interpreter():
    triton = pytest.importorskip("triton")
    versions = [tuple(int(part) for part in module.__version__.split(".")[:2]) for module in (triton, np)]
    if versions[0] < (3, 7) and versions[1] >= (2, 4):
        pytest.skip("the interpreter of triton before 3.7 cannot loop with NumPy 2.4")
    # The interpreter of triton 3.6 converts arrays in a way that NumPy 2.3 deprecates.
    quiet = ("-W", "ignore:Conversion of an array:DeprecationWarning")
    arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", *quiet, "-m", "kernel", "tests/lm/kernels")
    output = in_child(*arguments, TRITON_INTERPRET="1")
    assert int(re.findall(r"(\d+) passed", output)[-1]) > 0
