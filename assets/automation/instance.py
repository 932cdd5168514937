"""The Dagster instance of `make ui` and `make demo`: its settings, and the groups of the built-in crawl."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from assets.automation.demo_run import register_demo_groups
from lm.errors import ConfigurationError

SETTINGS = Path(__file__).parents[1] / "instance.yaml"
_DAGSTERS_NAME = "dagster.yaml"
_OF_RETRIES = (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS)


def prepare() -> Path:
    """Make the folder `DAGSTER_HOME`, with this project's settings unless it has its own, and return it.

    The groups of the built-in crawl are registered, since a launch of the job `demo` needs them. Where the folder has
    settings of its own, a line on stderr names those that differ.

    Raises:
        ConfigurationError: `DAGSTER_HOME` is not set.
    """
    if not os.environ.get("DAGSTER_HOME"):
        raise ConfigurationError(
            "DAGSTER_HOME is not set, expected the folder of the Dagster instance; run `make demo`"
        )
    folder = Path(os.environ["DAGSTER_HOME"])
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _DAGSTERS_NAME).exists():
        shutil.copyfile(SETTINGS, folder / _DAGSTERS_NAME)
    if differing := differing_settings(folder / _DAGSTERS_NAME):
        print(
            f"note: {folder / _DAGSTERS_NAME} differs from {SETTINGS.name} of this version in {', '.join(differing)}; "
            "delete the file to restore these settings",
            file=sys.stderr,
        )
    with dg.DagsterInstance.get() as instance:
        register_demo_groups(instance)
        _begin_retries(instance)
    return folder


def differing_settings(path: Path) -> list[str]:
    """Return the dotted names of this project's settings that a file of Dagster's lacks or has with another value.

    Raises:
        ConfigurationError: the file has no YAML mapping.
    """
    try:
        own = yaml.safe_load(path.read_text("utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(own, dict):
        raise ConfigurationError(f"{path}: expected a mapping of Dagster's settings")
    found = dict(_leaves(own))
    return [name for name, value in _leaves(yaml.safe_load(SETTINGS.read_text())) if found.get(name) != value]


def _leaves(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested settings by their dotted names."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _begin_retries(instance: dg.DagsterInstance) -> None:
    """Store where the daemon that launches lost runs again begins to read; without it, its start prints warnings."""
    keys = [f"EVENT_LOG_CONSUMER_CURSOR-{event.value}" for event in _OF_RETRIES]
    stored = instance.daemon_cursor_storage.get_cursor_values(set(keys))
    newest = str(instance.event_log_storage.get_maximum_record_id() or 0)
    if missing := {key: newest for key in keys if not stored.get(key)}:
        instance.daemon_cursor_storage.set_cursor_values(missing)
