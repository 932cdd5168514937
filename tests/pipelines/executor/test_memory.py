"""Freed memory that a process keeps."""

import os
import platform
import subprocess
import sys

import pytest

from pipelines.executor.memory import ENVIRONMENT

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")

# Twelve blocks of 4 MiB are taken and freed, ten times: glibc alone gives them back to the system each time.
FAULTS = """
import resource, sys
from pipelines.executor.memory import keep_freed_memory
if "keep" in sys.argv:
    keep_freed_memory()
for turn in range(11):
    blocks = [bytearray(4 << 20) for _ in range(12)]
    del blocks
    if turn == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize() >> 20)
"""


def fetched_mib(*arguments, **environment):
    """The memory in MiB that a process fetches again from the system."""
    clean = {key: value for key, value in os.environ.items() if key not in (*ENVIRONMENT, "GLIBC_TUNABLES")}
    command = [sys.executable, "-c", FAULTS, *arguments]
    return int(subprocess.run(command, env=clean | environment, check=True, capture_output=True, text=True).stdout)


def test_freed_memory_is_fetched_once():
    assert fetched_mib() > 200  # of 480
    assert fetched_mib("keep") < 20
    assert fetched_mib(**ENVIRONMENT) < 20


def test_the_users_own_thresholds_stay():
    """Where they are set to what glibc begins with, memory is given back as before."""
    assert fetched_mib("keep", MALLOC_TRIM_THRESHOLD_=str(1 << 17)) > 200
