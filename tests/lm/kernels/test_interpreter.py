"""All kernel tests of this folder once more in Triton's interpreter, which needs a process of its own."""

import re

import pytest

from tests.lm.kernels.comparison import in_child


@pytest.mark.slow
def test_kernels_in_the_interpreter():
    pytest.importorskip("triton")
    arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "kernel", "tests/lm/kernels")
    output = in_child(*arguments, TRITON_INTERPRET="1")
    assert int(re.findall(r"(\d+) passed", output)[-1]) > 0
