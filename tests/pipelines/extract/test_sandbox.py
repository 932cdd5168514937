"""The guard: order, limits, and death of children; nothing is left behind."""

import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from lm.errors import ConfigurationError
from pipelines.extract.sandbox import Guard, GuardLimits, Outcome

FUNCTION = "tests.pipelines.hostile_functions:factory"


def run(documents, *, num_workers=1, timeout_s=1.0, settings=None):
    with Guard(FUNCTION, settings, GuardLimits(timeout_s=timeout_s, max_memory_bytes=1 << 28), num_workers) as guard:
        return list(guard.map(documents))


@pytest.mark.parametrize("num_workers", [1, 3])
def test_answers_come_in_order(num_workers):
    documents = [f"doc {n}".encode() * (n % 50) for n in range(500)]
    outcomes = run(documents, num_workers=num_workers, settings={"prefix": "> "})
    assert [outcome.value for outcome in outcomes] == [b"> " + document for document in documents]


def test_a_child_can_import_what_its_parent_can(tmp_path, monkeypatch):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "theirs.py").write_text("def factory(settings):\n    return bytes.upper\n")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.chdir(tmp_path)
    with Guard("theirs:factory", {}, GuardLimits()) as guard:
        assert [outcome.value for outcome in guard.map([b"a"])] == [b"A"]
    with Guard("filters:factory", {}, GuardLimits()) as guard, pytest.raises(RuntimeError, match="No module named"):
        list(guard.map([b"a"]))  # no folder of ours stands in for a package of another's


def test_documents_larger_than_every_pipe():
    documents = [bytes([n]) * (3 << 20) for n in range(6)]
    assert [outcome.value for outcome in run(documents, num_workers=2)] == documents


@pytest.mark.parametrize(
    ("document", "failure", "detail"),
    [
        (b"spin", "timeout", "CPU time"),
        (b"sleep 60", "timeout", "wall-clock time"),
        (b"signal SIGSEGV", "crashed", "SIGSEGV"),
        (b"signal SIGKILL", "out_of_memory", "SIGKILL"),
        (b"exit 3", "crashed", "exit code 3"),
        (b"allocate 1000000000", "out_of_memory", "MemoryError"),
        (b"raise boom", "failed", "ValueError: boom"),
    ],
)
def test_a_hostile_document_dies_alone(document, failure, detail):
    documents = [b"a", b"b", document, b"c", document, b"d"]
    outcomes = run(documents, timeout_s=0.2)
    assert [outcome.value for outcome in outcomes] == [b"a", b"b", None, b"c", None, b"d"]
    for outcome in (outcomes[2], outcomes[4]):
        assert (outcome.failure, outcome.detail[: len(detail)]) == (failure, detail)


def test_deaths_among_many_documents_and_children():
    documents = [b"exit 1" if n % 37 == 5 else b"%d" % n for n in range(200)]
    outcomes = run(documents, num_workers=3)
    for document, outcome in zip(documents, outcomes, strict=True):
        assert outcome.value == (None if document == b"exit 1" else document)


def test_printing_does_not_disturb_the_answers():
    assert [outcome.value for outcome in run([b"print x", b"b"])] == [b"print x", b"b"]


def test_outcomes_pass_in_their_turn_and_nothing_runs_far_ahead():
    taken = []

    def source():
        for n in range(2000):
            taken.append(n)
            yield b"doc" if n % 100 == 0 else Outcome(b"known")

    with Guard(FUNCTION) as guard:
        for position, outcome in enumerate(guard.map(source())):
            assert outcome.value == (b"doc" if position % 100 == 0 else b"known")
            assert len(taken) <= position + 33


def test_a_pause_of_the_consumer_kills_nobody():
    with Guard(FUNCTION, limits=GuardLimits(timeout_s=0.05)) as guard:
        for outcome in guard.map(b"%d" % n for n in range(80)):
            time.sleep(0.01)
            assert outcome.failure is None


def test_the_limit_is_cpu_time_of_one_document():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run([b"a", b"spin"], timeout_s=0.5)[1].failure == "timeout"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5


def test_a_child_that_cannot_start_is_no_documents_fault():
    with (
        Guard("tests.pipelines.hostile_functions:no_start") as guard,
        pytest.raises(RuntimeError, match=r"did not start.*no such model"),
    ):
        list(guard.map([b"a"]))


def test_it_works_in_a_thread_of_a_threaded_process():
    found = []
    threads = [threading.Thread(target=lambda: found.append(run([b"exit 1", b"a"]))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcomes[1].value for outcomes in found] == [b"a"] * 3


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ends(pid, within_s=5.0):
    deadline = time.monotonic() + within_s
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def test_no_child_outlives_the_guard():
    with Guard(FUNCTION, num_workers=2) as guard:
        pids = {int(outcome.value) for outcome in guard.map([b"pid"] * 20)}
        abandoned = guard.map([b"sleep 60"] * 4)
        del abandoned
    assert len(pids) == 2
    assert all(ends(pid) for pid in pids)


def test_no_child_outlives_a_parent_that_was_killed():
    program = f"""
        from pipelines.extract.sandbox import Guard, GuardLimits
        guard = Guard("{FUNCTION}", limits=GuardLimits(timeout_s=0.2))
        outcomes = guard.map([b"pid", b"sleep 60"])
        print(next(outcomes).value.decode(), flush=True)
        next(outcomes)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    assert ends(pid)


@pytest.mark.parametrize("values", [{"timeout_s": 0}, {"timeout_s": float("nan")}, {"max_memory_bytes": 1}])
def test_limits_are_checked(values):
    with pytest.raises(ConfigurationError, match=next(iter(values))):
        GuardLimits(**values)
