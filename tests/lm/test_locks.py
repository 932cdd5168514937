"""Fault 48: a lock of a killed process is free at once, even while its forked children live."""

import os
import signal
import subprocess
import sys
import time

import pytest

from lm import storage
from lm.locks import take
from tests.lm.test_storage import WORK, publish_text

HOLDER = """
import os, sys, time
from lm import storage

with storage.publish(sys.argv[1], kind="numbers", config={}, inputs={}, code="") as publication:
    running, says = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(says, b".")
        time.sleep(60)
    os.read(running, 1)
    print(child, flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_by_one_open_file_until_it_is_closed(tmp_path):
    with (tmp_path / "lock").open("w") as first, (tmp_path / "lock").open("w") as second:
        assert take(first)
        assert not take(second)
        first.close()
        assert take(second)


@pytest.mark.fault(48)
def test_a_killed_publisher_frees_its_lock_while_its_child_lives(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "a")], stdout=subprocess.PIPE) as holder:
        child = int(holder.stdout.readline())
        try:
            with pytest.raises(storage.ConflictError, match=f"process {holder.pid} on .* is publishing here"):
                publish_text(tmp_path / "a")
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            started = time.monotonic()
            assert publish_text(tmp_path / "a").files
            assert time.monotonic() - started < 30
            os.kill(child, 0)  # it lives still
        finally:
            os.kill(child, signal.SIGKILL)
    assert storage.find_whole(tmp_path / "a", storage.fingerprint(**WORK)) is not None
