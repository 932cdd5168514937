"""Jobs, the schedule and the sensor: what they select, that they are off, and what each tick does."""

import json

import dagster as dg
import pytest

from assets.automation import jobs, schedules, sensors
from tests.assets.conftest import defs
from tests.pipelines.crawl_server import CrawlServer

CRAWL = "CC-MAIN-2024-22"


@pytest.fixture
def empty_instance(tmp_path_factory):
    """An instance of one test; a tick opens it again by its reference, so it lies on disk."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance:
        yield instance


def groups_of(instance):
    return sorted(instance.get_dynamic_partitions("warc_groups"))


def test_definitions_load_and_are_described():
    dg.Definitions.validate_loadable(defs)
    for key, spec in ((spec.key, spec) for spec in defs.resolve_all_asset_specs()):
        assert spec.description, key
        assert spec.group_name in {
            "crawl",
            "curation",
            "tokens",
            "pretraining",
            "experiments",
            "scaling",
            "alignment",
            "evaluation",
        }, key
    assert {job.name for job in defs.jobs} == {"demo", "curate_crawl", "pretrain", "align", "ablate"}


def test_jobs_divide_the_graph_between_them():
    graph = defs.resolve_asset_graph()
    selected = {job.name: {key.to_user_string() for key in job.selection.resolve(graph)} for job in jobs.JOBS}
    everything = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
    experiments = {"ablations", "ablation_report"}
    assert selected["demo"] == everything - experiments
    assert selected["ablate"] == {"ablations"}
    parts = selected["curate_crawl"] | selected["pretrain"] | selected["align"]
    assert everything - experiments - parts == {"demo_crawl", "quality_classifier", "harmful_classifiers"}


def test_automation_is_off():
    assert schedules.newest_crawl.default_status == dg.DefaultScheduleStatus.STOPPED
    assert sensors.local_warc_folder.default_status == dg.DefaultSensorStatus.STOPPED


def schedule_tick(instance):
    return schedules.newest_crawl(dg.build_schedule_context(instance=instance))


def test_the_schedule_asks_for_the_newest_crawl_once(empty_instance, monkeypatch):
    listing = [{"id": CRAWL, "name": "May 2024"}, {"id": "CC-MAIN-2024-18", "name": "April 2024"}]
    with CrawlServer({"collinfo.json": json.dumps(listing).encode()}) as server:
        monkeypatch.setenv(schedules.INDEX_VARIABLE, server.url)
        monkeypatch.setenv(schedules.NUM_GROUPS_VARIABLE, "2")
        requests = schedule_tick(empty_instance)
        assert [request.partition_key for request in requests] == [f"{CRAWL}/g0000", f"{CRAWL}/g0001"]
        assert groups_of(empty_instance) == [f"{CRAWL}/g0000", f"{CRAWL}/g0001"]
        assert isinstance(schedule_tick(empty_instance), dg.SkipReason)


def test_the_schedule_names_a_server_without_crawls(empty_instance, monkeypatch):
    with CrawlServer({"collinfo.json": b"[]"}) as server:
        monkeypatch.setenv(schedules.INDEX_VARIABLE, server.url)
        with pytest.raises(dg.Failure, match="lists no crawls"):
            schedule_tick(empty_instance)
    assert groups_of(empty_instance) == []


def sensor_tick(instance, cursor=None):
    return sensors.local_warc_folder(dg.build_sensor_context(instance=instance, cursor=cursor))


def test_the_sensor_adds_groups_as_files_come_and_never_changes_one(empty_instance, tmp_path, monkeypatch):
    monkeypatch.setenv(sensors.FOLDER_VARIABLE, str(tmp_path))
    for name in ("b.warc.gz", "d.warc.gz", "e.warc.gz"):
        (tmp_path / name).write_bytes(b"x")
    first = sensor_tick(empty_instance)
    files = [request.run_config["ops"]["warc_files"]["config"]["files"] for request in first.run_requests]
    assert [request.partition_key for request in first.run_requests] == ["local/g0000", "local/g0001"]
    assert files == [["b.warc.gz", "d.warc.gz"], ["e.warc.gz"]]
    assert first.dynamic_partitions_requests[0].partition_keys == ["local/g0000", "local/g0001"]
    assert isinstance(sensor_tick(empty_instance, first.cursor), dg.SkipReason)
    (tmp_path / "a.warc.gz").write_bytes(b"x")
    second = sensor_tick(empty_instance, first.cursor)
    assert [request.partition_key for request in second.run_requests] == ["local/g0002"]
    assert second.run_requests[0].run_config["ops"]["warc_files"]["config"]["files"] == ["a.warc.gz"]


def test_the_sensor_without_a_folder_skips(empty_instance, monkeypatch):
    monkeypatch.delenv(sensors.FOLDER_VARIABLE, raising=False)
    assert "LOAM_WARC_FOLDER is not set" in sensor_tick(empty_instance).skip_message
