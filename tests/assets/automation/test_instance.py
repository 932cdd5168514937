"""The instance of `make ui` and `make demo`."""

import logging

import dagster as dg
import pytest
import yaml
from dagster._core.events import RunFailureReason
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._daemon.auto_run_reexecution.event_log_consumer import (
    DAGSTER_EVENT_TYPES,
    _create_cursor_key,
    _fetch_persisted_cursors,
)

from assets.__main__ import main
from assets.automation.instance import prepare
from lm.errors import ConfigurationError


def test_prepare_makes_the_instance_and_keeps_its_settings(tmp_path, monkeypatch):
    folder = tmp_path / "new" / "dagster"
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    assert main(["prepare"]) == 0
    settings = folder / "dagster.yaml"
    assert "free_slots_after_run_end_seconds" in settings.read_text()
    assert groups() == ["demo/g0000", "demo/g0001"]
    settings.write_text("telemetry:\n  enabled: false\n")
    assert main(["prepare"]) == 0
    assert settings.read_text() == "telemetry:\n  enabled: false\n"


def test_older_settings_are_named_and_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    prepare()
    assert capsys.readouterr().err == ""
    settings = yaml.safe_load((tmp_path / "dagster.yaml").read_text())
    del settings["run_retries"]["max_retries"]
    settings["telemetry"]["enabled"] = True
    settings["sensors"] = {"use_threads": True}  # an own setting, which is none of ours
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
    prepare()
    (line,) = capsys.readouterr().err.splitlines()
    assert " in telemetry.enabled, run_retries.max_retries; delete the file to restore these settings" in line
    assert yaml.safe_load((tmp_path / "dagster.yaml").read_text()) == settings


@pytest.mark.parametrize("text", ["- telemetry\n", "telemetry: [\n"])
def test_settings_that_are_none_are_named(tmp_path, monkeypatch, text):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"dagster\.yaml: (expected a mapping|not YAML)"):
        prepare()


def groups():
    with dg.DagsterInstance.get() as instance:
        return sorted(instance.get_dynamic_partitions("warc_groups"))


def test_the_daemon_of_retries_begins_where_the_instance_does_and_without_a_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    prepare()
    with dg.DagsterInstance.get() as instance:
        found = _fetch_persisted_cursors(instance, DAGSTER_EVENT_TYPES, logging.getLogger("daemon"))
        instance.daemon_cursor_storage.set_cursor_values({_create_cursor_key(DAGSTER_EVENT_TYPES[0]): "7"})
    assert set(found.values()) == {0} and not caplog.records
    prepare()
    with dg.DagsterInstance.get() as instance:
        kept = _fetch_persisted_cursors(instance, DAGSTER_EVENT_TYPES, logging.getLogger("daemon"))
    assert list(kept.values()) == [7, 0]


def test_without_a_folder_it_says_what_to_do(monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(ConfigurationError, match="DAGSTER_HOME is not set"):
        prepare()


@pytest.mark.parametrize(
    ("reason", "tags", "is_retried"),
    [
        (None, {}, True),  # the process was killed
        (RunFailureReason.STEP_FAILURE, {}, False),
        (None, {"dagster/max_retries": "0"}, False),  # found dead by the run after it
    ],
)
def test_a_lost_run_is_launched_again_and_a_failed_step_is_not(tmp_path, monkeypatch, reason, tags, is_retried):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    prepare()
    run_id = "00000000-0000-4000-8000-000000000001"
    with dg.DagsterInstance.get() as instance:
        run = dg.DagsterRun("train", run_id=run_id, status=dg.DagsterRunStatus.FAILURE, tags=tags)
        instance.add_run(run)
        assert auto_reexecution_should_retry_run(instance, run, reason) == is_retried
