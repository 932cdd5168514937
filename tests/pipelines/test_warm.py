"""Warming compiles what a run needs: afterwards a new process compiles nothing."""

import subprocess
import sys

import pytest

from pipelines import warm
from tests.conftest import REPOSITORY

CHECK = """
from numba.core import event
from pipelines import warm
with event.install_recorder("numba:compile") as recorder:
    warm.STEPS[NAME]()
compiled = [each for _, each in recorder.buffer if each.is_start]
print(len(compiled), [each.data["dispatcher"].py_func.__qualname__ for each in compiled][:5])
"""


@pytest.mark.parametrize("name", [name for name in warm.STEPS if name != "tokenizer"])
def test_what_is_warm_is_not_compiled_again(name):
    warm.STEPS[name]()
    code = CHECK.replace("NAME", repr(name))
    again = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert again.stdout.split()[0] == "0", again.stdout
