"""Jobs over partitions: the order of results, reports, and settings that are refused."""

import threading
from contextvars import ContextVar

import pytest

from lm.errors import ConfigurationError, InputError
from pipelines.executor.partitions import engine, run_partitions


def square(number):
    return number * number


def test_results_come_in_the_jobs_order_whatever_the_workers():
    jobs = {f"p{i}": i for i in range(5)}
    expected = {f"p{i}": i * i for i in range(5)}
    for num_workers in (1, 2):
        results = run_partitions(square, jobs, num_workers=num_workers)
        assert list(results.items()) == list(expected.items())


def test_threads_see_what_the_caller_sees():
    seen = ContextVar("seen", default=0)
    seen.set(7)
    jobs = {f"p{i}": i for i in range(5)}
    results = run_partitions(lambda number: number + seen.get(), jobs, num_workers=2, in_threads=True)
    assert list(results.items()) == [(f"p{i}", i + 7) for i in range(5)]
    with pytest.raises(InputError, match="zero"):
        run_partitions(inverse, {"p0": 2, "p1": 0}, num_workers=2, in_threads=True)


def test_an_error_in_a_thread_leaves_the_jobs_that_have_not_begun():
    begun, release = [], threading.Event()

    def work(number):
        begun.append(number)
        if number == 0:
            raise InputError("zero, expected a number with an inverse")
        release.wait(60)

    def failing_report(event):
        raise AssertionError("no job but the first ends before the error")

    timer = threading.Timer(1.0, release.set)  # the job that has begun ends; those behind it are not begun
    timer.start()
    with pytest.raises(InputError, match="zero"):
        run_partitions(work, {f"p{i}": i for i in range(40)}, num_workers=2, report=failing_report, in_threads=True)
    timer.cancel()
    assert len(begun) < 40


def test_reports_come_as_partitions_finish():
    events = []
    run_partitions(square, {"p0": 0, "p1": 1}, report=events.append)
    assert [(event["partition"], event["finished"], event["total"]) for event in events] == [("p0", 1, 2), ("p1", 2, 2)]


def inverse(number):
    if number == 0:
        raise InputError("zero, expected a number with an inverse")
    return 1 / number


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_job_that_fails_is_kept_aside_and_the_others_go_on(num_workers):
    failed = {}
    jobs = {"p0": 2, "p1": 0, "p2": 4}
    assert run_partitions(inverse, jobs, num_workers=num_workers, failed=failed) == {"p0": 0.5, "p2": 0.25}
    assert {name: str(error) for name, error in failed.items()} == {"p1": "zero, expected a number with an inverse"}
    with pytest.raises(InputError, match="zero"):
        run_partitions(inverse, jobs, num_workers=num_workers)


def test_nothing_to_do_is_nothing_done():
    assert run_partitions(inverse, {}, failed={}) == {}


def test_no_workers_are_refused():
    with pytest.raises(ConfigurationError, match="num_workers: 0, expected at least 1"):
        run_partitions(square, {"p0": 0}, num_workers=0)


def test_an_engine_of_another_name_is_refused(monkeypatch):
    monkeypatch.setenv("LOAM_ENGINE", "spark")
    with pytest.raises(ConfigurationError, match="LOAM_ENGINE: 'spark', expected local or ray"):
        engine()
