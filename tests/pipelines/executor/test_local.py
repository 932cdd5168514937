"""Local workers: errors, answers that cannot be sent, workers and parents that are killed."""

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from lm.errors import IntegrityError, PartialError
from pipelines.executor.partitions import run_partitions
from tests.conftest import REPOSITORY


def die_once(folder, number):
    marker = Path(folder) / f"{number}"
    if number == 2 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def always_die(number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number):
    if number == 1:
        raise IntegrityError("this one is damaged")
    return number


def answer_unpicklably(number):
    return lambda: number


def test_an_error_in_a_worker_is_the_callers():
    with pytest.raises(IntegrityError, match="this one is damaged") as caught:
        run_partitions(refuse, {f"p{i}": i for i in range(3)}, num_workers=2)
    assert "in refuse" in caught.value.__notes__[0]


def test_an_answer_that_cannot_travel_is_told():
    with pytest.raises(TypeError, match="cannot be pickled"):
        run_partitions(answer_unpicklably, {"p0": 0, "p1": 1}, num_workers=2)


def sleep_long(folder, number):
    (Path(folder) / f"{os.getpid()}").touch()
    time.sleep(60)


@pytest.mark.fault(38)
def test_a_killed_parent_leaves_no_orphans(tmp_path):
    code = (
        "from functools import partial; from pipelines.executor.partitions import run_partitions;"
        "from tests.pipelines.executor.test_local import sleep_long;"
        f"run_partitions(partial(sleep_long, {str(tmp_path)!r}), {{'a': 0, 'b': 1}}, num_workers=2)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    children = [int(path.name) for path in tmp_path.iterdir()]
    assert len(children) == 2
    parent.kill()
    parent.wait()
    while any(is_alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_alive(child) for child in children)


def is_alive(process):
    try:
        return (Path("/proc") / str(process) / "stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.fault(38)
def test_a_killed_worker_costs_only_time(tmp_path):
    jobs = {f"p{i}": i for i in range(5)}
    results = run_partitions(partial(die_once, str(tmp_path)), jobs, num_workers=2)
    assert results == {f"p{i}": i * i for i in range(5)}


@pytest.mark.fault(38)
def test_a_job_that_always_kills_its_worker_is_named():
    jobs = {f"p{i}": i for i in range(5)}
    with pytest.raises(
        PartialError, match=r"partition 'p2': its worker died 3 times, most recently with signal SIGKILL; \d of 5"
    ):
        run_partitions(always_die, jobs, num_workers=2)


class Kept:
    """An object of a module, which an interpreter that takes its modules apart deletes."""

    def __del__(self):
        os.write(2, b"taken apart")


KEPT = []


def keep_and_print(number):
    KEPT.append(Kept())
    print(f"printed by {number}")
    atexit.register(print, f"at the end of {number}")
    threading.Thread(target=print_late, args=(number,)).start()
    return number


def print_late(number):
    threading.main_thread().join(0.5)  # it ends only after this thread
    print(f"late by {number}")


LEAVE = """
from pipelines.executor.partitions import run_partitions
from tests.pipelines.executor.test_local import keep_and_print
if __name__ == "__main__":
    run_partitions(keep_and_print, {"a": 0, "b": 1}, num_workers=2)
"""


def run_leave(tmp_path, source, redirection=""):
    """The output and error output of a script, whose output is buffered."""
    script = tmp_path / "leave.py"
    script.write_text(source)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    command = ["bash", "-c", f"exec {sys.executable} {script} {redirection}"]
    environment["PYTHONPATH"] = str(REPOSITORY)
    child = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    return child.stdout, child.stderr


def test_a_worker_leaves_without_taking_modules_apart_but_not_before_its_threads_exit_functions_and_output(tmp_path):
    output, errors = run_leave(tmp_path, LEAVE)
    expected = [f"{what} {number}" for what in ("at the end of", "late by", "printed by") for number in (0, 1)]
    assert sorted(output.splitlines()) == expected
    assert errors == ""


def test_a_worker_without_streams_leaves_silently(tmp_path):
    source = LEAVE.replace("keep_and_print", "refuse").replace('"b": 1', '"b": 2')
    assert run_leave(tmp_path, source, ">&-") == ("", "")
