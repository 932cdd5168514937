"""The Dagster instance of `make ui` and `make demo`: its settings, and the groups of the built-in crawl."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import dagster as dg

from assets.automation.demo_run import register_demo_groups
from lm.errors import ConfigurationError

SETTINGS = Path(__file__).parents[1] / "instance.yaml"
_DAGSTERS_NAME = "dagster.yaml"
_OF_RETRIES = (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS)


def prepare() -> Path:
    """Make the folder `DAGSTER_HOME`, with this project's settings unless it has its own, and return it.

    The groups of the built-in crawl are registered, since a launch of the job `demo` needs them.

    Raises:
        ConfigurationError: `DAGSTER_HOME` is not set.
    """
    if not os.environ.get("DAGSTER_HOME"):
        raise ConfigurationError("DAGSTER_HOME is not set: run `make demo`, or name a folder for Dagster's records")
    folder = Path(os.environ["DAGSTER_HOME"])
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _DAGSTERS_NAME).exists():
        shutil.copyfile(SETTINGS, folder / _DAGSTERS_NAME)
    with dg.DagsterInstance.get() as instance:
        register_demo_groups(instance)
        _begin_retries(instance)
    return folder


def _begin_retries(instance: dg.DagsterInstance) -> None:
    """Store where the daemon that launches lost runs again begins to read; without it, its start prints warnings."""
    keys = [f"EVENT_LOG_CONSUMER_CURSOR-{event.value}" for event in _OF_RETRIES]
    stored = instance.daemon_cursor_storage.get_cursor_values(set(keys))
    newest = str(instance.event_log_storage.get_maximum_record_id() or 0)
    if missing := {key: newest for key in keys if not stored.get(key)}:
        instance.daemon_cursor_storage.set_cursor_values(missing)
