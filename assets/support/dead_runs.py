"""Dead runs: runs of a killed process or machine, which Dagster still lists as running.

A dead run keeps its slot of the pool `gpu`, and the next run would wait for ever. Every run holds a lock that ends with
its process, and begins by ending the runs whose lock is free.

Decisions:
- A lock is held until the process ends, not until the run's last step: a run that is about to end is not a dead one.
- A dead run is not launched again by itself: the run that finds it may be the one that was launched in its place. A run
  that is lost while the UI is there is another matter: the UI notices at once and launches it again.
- A run is one process (`in_process_executor`). Runs without a lock, such as those of another executor, are left alone.
"""

from __future__ import annotations

import atexit
import fcntl
from pathlib import Path
from typing import IO

import dagster as dg

_MAX_RETRIES_TAG = "dagster/max_retries"
"""The tag by which a run has its own number of retries, as Dagster's docs of run retries have it."""
_ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
_UNDER_WAY = [status for status in dg.DagsterRunStatus if status not in _ENDED]

LOCK_TAG = ".dagster/loam_lock"
"""The tag that names a run's lock file; Dagster's pages hide tags with this prefix."""

_HELD: dict[str, IO[str]] = {}
"""The open lock files of this process, by run."""


def hold(instance: dg.DagsterInstance, run_id: str) -> None:
    """Hold the lock of a run of this process until the process ends, and tag the run with it."""
    if run_id in _HELD:
        return
    folder = Path(instance.root_directory) / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _name_of(run_id)
    lock = path.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    _HELD[run_id] = lock
    atexit.register(path.unlink, missing_ok=True)
    instance.add_run_tags(run_id, {LOCK_TAG: str(path)})


def bury(instance: dg.DagsterInstance) -> list[str]:
    """Report runs as failed whose process is gone, and free their slots; returns their ids."""
    runs = instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY))
    gone = [run for run in runs if _has_lock(run) and _is_free(Path(run.tags[LOCK_TAG]))]
    for run in gone:
        instance.add_run_tags(run.run_id, {_MAX_RETRIES_TAG: "0"})
        instance.report_run_failed(run, "the process of this run has ended; launch the run again to resume")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        Path(run.tags[LOCK_TAG]).unlink(missing_ok=True)
    return [run.run_id for run in gone]


def _has_lock(run: dg.DagsterRun) -> bool:
    """Return whether the run's tag names its own lock: a re-executed run begins with its parent's tags."""
    return Path(run.tags.get(LOCK_TAG, "")).name == _name_of(run.run_id)


def _name_of(run_id: str) -> str:
    return f"{run_id}.lock"


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
