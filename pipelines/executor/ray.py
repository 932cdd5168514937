"""Ray executor: the same function over partitions, one task a partition.

    LOAM_ENGINE=ray        use this executor; RAY_ADDRESS names the cluster, without it one is started on this machine

Decisions:
- Every task is a pure function of its arguments and of published files, and publishes atomically, so Ray may run it
  again: when a node dies the output is the same bytes as the local executor's. A test kills a node.
- Tasks find artifacts by path: with several machines `LOAM_HOME` is a shared file system or an object store.
- An error of a task is returned as a value and raised here unchanged; Ray would wrap the error or repeat the task.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from lm import progress
from lm.errors import ConfigurationError, PartialError

Job = TypeVar("Job")
Result = TypeVar("Result")
Report = Callable[[Mapping[str, object]], None]

_RETRIES = 3


def connect() -> None:
    """Join the cluster that RAY_ADDRESS names, or start one here; a second call has no effect.

    Raises:
        ConfigurationError: Ray is not installed, or the cluster is not reachable.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigurationError(f"LOAM_ENGINE=ray: {error}; install Loam's `ray` extra") from None
    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS")
    try:
        ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigurationError(f"RAY_ADDRESS={address}: {error}") from None


def run_on_ray(
    function: Callable[[Job], Result], jobs: Mapping[str, Job], report: Report | None, description: str
) -> dict[str, Result]:
    """Return `function` of every job over the cluster, by the jobs' names and in their order.

    Raises:
        PartialError: the cluster lost a task more often than Ray retries; also every exception of `function`.
    """
    if not jobs:
        return {}
    data = quiet_data()
    items = [{"name": name, "job": _Sealed(job)} for name, job in jobs.items()]
    call = functools.partial(_call, function)
    finished = data.from_items(items, override_num_blocks=len(items)).map(call, max_retries=_RETRIES)
    start, results = time.monotonic(), {}
    for row in progress.track(_rows(finished, description), description, total=len(jobs), unit="partition"):
        succeeded, value = row["answer"].value
        if not succeeded:
            raise value
        results[row["name"]] = value
        if report is not None:
            seconds = round(time.monotonic() - start, 2)
            report({"partition": row["name"], "finished": len(results), "total": len(jobs), "seconds": seconds})
    return {name: results[name] for name in jobs}


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A value that Ray Data carries unchanged; bare tuples and numbers would become typed columns."""

    value: Any


def _call(function: Callable[[Any], Any], item: dict[str, Any]) -> dict[str, Any]:
    from pipelines.executor.local import portable

    os.environ["LOAM_PROGRESS"] = "0"
    try:
        answer = (True, function(item["job"].value))
    except Exception as error:
        answer = (False, portable(error))
    return {"name": item["name"], "answer": _Sealed(answer)}


def quiet_data() -> Any:
    """Return Ray Data without its progress bars and logs; Loam draws its own."""
    connect()
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray.data", "ray.air"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return ray.data


def num_shuffle_tasks() -> int:
    """Return the number of tasks of a shuffle: two for each core of the cluster."""
    import ray

    return max(2, 2 * int(ray.cluster_resources().get("CPU", 1)))


def _rows(dataset: Any, description: str) -> Iterator[dict[str, Any]]:
    import ray.exceptions

    try:
        yield from dataset.iter_rows()
    except ray.exceptions.RayError as error:
        raise PartialError(f"{description}: the cluster lost work: {error}") from None
