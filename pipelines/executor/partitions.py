"""A function over the partitions of a run: in this process, in threads or child processes, or over a Ray cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

from lm import progress
from lm.errors import ConfigurationError, LoamError, as_loam_error
from pipelines.executor.local import LocalPool

Job = TypeVar("Job")


Result = TypeVar("Result")


Report = Callable[[Mapping[str, object]], None]


def run_partitions(
    function: Callable[[Job], Result],
    jobs: Mapping[str, Job],
    *,
    num_workers: int = 1,
    report: Report | None = None,
    description: str = "partitions",
    failed: dict[str, LoamError] | None = None,
    in_threads: bool = False,
) -> dict[str, Result]:
    """Return `function` of every job, by the jobs' names and in their order; one worker means this process.

    With `LOAM_ENGINE=ray` the jobs go to a Ray cluster instead, whatever `num_workers` says. `in_threads` makes the
    workers threads of this process, for jobs of compiled code that are over before a process has started.

    With `failed`, a job's `LoamError` is put there by the job's name, and the other jobs go on. Without, it is raised.

    `report` gets `{"partition", "finished", "total", "seconds"}` after each job.

    Raises:
        PartialError: a job's worker died `ATTEMPTS` times; names the job and counts finished jobs.
        ConfigurationError: fewer than one worker; also every other exception of `function`.
    """
    if num_workers < 1:
        raise ConfigurationError(f"num_workers: {num_workers}, expected at least 1")
    if failed is not None:
        outcomes = run_partitions(
            _Attempt(function),
            jobs,
            num_workers=num_workers,
            report=report,
            description=description,
            in_threads=in_threads,
        )
        failed.update((name, each) for name, each in outcomes.items() if isinstance(each, LoamError))
        return {name: each for name, each in outcomes.items() if not isinstance(each, LoamError)}
    if engine() == "ray":
        from pipelines.executor.ray import run_on_ray  # here, since Ray is an extra

        return run_on_ray(function, jobs, report, description)
    num_workers = min(num_workers, len(jobs))
    start = time.monotonic()
    results: dict[str, Result] = {}
    if num_workers <= 1:
        finished = _run_here(function, jobs)
    elif in_threads:
        finished = _run_in_threads(function, jobs, num_workers)
    else:
        finished = LocalPool(function, jobs).run(num_workers)
    for name, result in progress.track(finished, description, total=len(jobs), unit="partition"):
        results[name] = result
        if report is not None:
            seconds = round(time.monotonic() - start, 2)
            report({"partition": name, "finished": len(results), "total": len(jobs), "seconds": seconds})
    return {name: results[name] for name in jobs}


def engine() -> str:
    """Return the executor named by `$LOAM_ENGINE`: `local` (processes of this machine, the default) or `ray`.

    Raises:
        ConfigurationError: `$LOAM_ENGINE` has another value.
    """
    named = os.environ.get("LOAM_ENGINE") or "local"
    if named not in ("local", "ray"):
        raise ConfigurationError(f"LOAM_ENGINE: '{named}', expected local or ray")
    return named


@dataclass(frozen=True)
class _Attempt:
    """A function whose `LoamError` is its result."""

    function: Callable[[Any], Any]

    def __call__(self, job: Any) -> Any:
        try:
            return self.function(job)
        except LoamError as error:
            return error
        except OSError as error:
            known = as_loam_error(error)
            if known is None:
                raise
            return known


def _run_here(function: Callable[[Job], Result], jobs: Mapping[str, Job]) -> Iterator[tuple[str, Result]]:
    for name, job in jobs.items():
        yield name, function(job)


def _run_in_threads(
    function: Callable[[Job], Result], jobs: Mapping[str, Job], num_workers: int
) -> Iterator[tuple[str, Result]]:
    """Yield `(name, result)` as the jobs end; each sees the context variables of the caller."""
    threads = ThreadPoolExecutor(num_workers)
    try:
        names = {threads.submit(copy_context().run, function, job): name for name, job in jobs.items()}
        for future in as_completed(names):
            yield names[future], future.result()
    finally:
        threads.shutdown(cancel_futures=True)  # after an error the jobs that have not begun are left
