"""Dead runs: runs of a killed process or machine, which Dagster still lists as running.

A dead run keeps its slot of the pool `gpu`, and the next run would wait for ever. `held` marks a run by a lock that
ends with its process, and `bury` ends runs whose lock is free.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

_ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
_UNDER_WAY = [status for status in dg.DagsterRunStatus if status not in _ENDED]

LOCK_TAG = "loam/lock"
"""The tag that names a run's lock file."""


@contextmanager
def held(folder: Path, run_id: str) -> Iterator[dict[str, str]]:
    """Hold the lock of a run that this process is about to begin; yields the tags that the run needs."""
    path = folder / f"{run_id}.lock"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield {LOCK_TAG: str(path)}
        finally:
            path.unlink()


def bury(instance: dg.DagsterInstance) -> list[str]:
    """Report runs as failed whose process is gone, and free their slots; returns their ids."""
    runs = instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY))
    gone = [run for run in runs if LOCK_TAG in run.tags and _is_free(Path(run.tags[LOCK_TAG]))]
    for run in gone:
        instance.report_run_failed(run, "the process of this run has ended")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        Path(run.tags[LOCK_TAG]).unlink(missing_ok=True)
    return [run.run_id for run in gone]


def _is_free(path: Path) -> bool:
    """Return whether the lock is free: its file is missing, or the lock can be acquired."""
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True
