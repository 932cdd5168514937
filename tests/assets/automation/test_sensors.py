"""The sensor of a local folder: off, and what each tick does."""

import dagster as dg

from assets.automation import sensors


def test_the_sensor_is_off():
    assert sensors.local_warc_folder.default_status == dg.DefaultSensorStatus.STOPPED


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
