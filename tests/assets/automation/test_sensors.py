"""The sensor of a local folder: off, and what each tick does."""

import dagster as dg

from assets.automation import sensors


def test_the_sensor_is_off():
    assert sensors.local_warc_folder.default_status == dg.DefaultSensorStatus.STOPPED


def sensor_tick(instance, cursor=None):
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        return sensors.local_warc_folder(context)


def test_the_sensor_adds_groups_as_files_come_and_never_changes_one(empty_instance, tmp_path, monkeypatch):
    monkeypatch.setenv(sensors.FOLDER_VARIABLE, str(tmp_path))
    for name in ("b.warc.gz", "d.warc.gz", "e.warc.gz"):
        (tmp_path / name).write_bytes(b"x")
    seen = sensor_tick(empty_instance)
    assert not seen.run_requests and "3 files may still be growing" in seen.skip_reason.skip_message
    first = sensor_tick(empty_instance, seen.cursor)
    files = [request.run_config["ops"]["warc_files"]["config"]["files"] for request in first.run_requests]
    assert [request.partition_key for request in first.run_requests] == ["local/g0000", "local/g0001"]
    assert files == [["b.warc.gz", "d.warc.gz"], ["e.warc.gz"]]
    assert first.dynamic_partitions_requests[0].partition_keys == ["local/g0000", "local/g0001"]
    assert "no new group" in sensor_tick(empty_instance, first.cursor).skip_reason.skip_message
    (tmp_path / "a.warc.gz").write_bytes(b"x")
    seen = sensor_tick(empty_instance, first.cursor)
    second = sensor_tick(empty_instance, seen.cursor)
    assert [request.partition_key for request in second.run_requests] == ["local/g0002"]
    assert second.run_requests[0].run_config["ops"]["warc_files"]["config"]["files"] == ["a.warc.gz"]


def test_a_file_that_grows_waits_and_others_go_on(empty_instance, tmp_path, monkeypatch):
    monkeypatch.setenv(sensors.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv(sensors.FILES_VARIABLE, "1")
    copied, whole = tmp_path / "a.warc.gz", tmp_path / "b.warc.gz"
    copied.write_bytes(b"x")
    whole.write_bytes(b"x")
    seen = sensor_tick(empty_instance)
    copied.write_bytes(b"xx")  # a copy under way
    second = sensor_tick(empty_instance, seen.cursor)
    assert [request.run_config["ops"]["warc_files"]["config"]["files"] for request in second.run_requests] == [
        ["b.warc.gz"]
    ]
    third = sensor_tick(empty_instance, second.cursor)
    assert third.run_requests[0].run_config["ops"]["warc_files"]["config"]["files"] == ["a.warc.gz"]


def test_a_preview_changes_nothing(empty_instance, tmp_path, monkeypatch):
    monkeypatch.setenv(sensors.FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / "a.warc.gz").write_bytes(b"x")
    cursor = sensor_tick(empty_instance).cursor
    first, second = (sensor_tick(empty_instance, cursor) for _ in range(2))
    assert [each.run_key for each in first.run_requests] == [each.run_key for each in second.run_requests]
    assert empty_instance.get_dynamic_partitions("warc_groups") == []


def test_the_sensor_without_a_folder_skips(empty_instance, monkeypatch):
    monkeypatch.delenv(sensors.FOLDER_VARIABLE, raising=False)
    assert "LOAM_WARC_FOLDER is not set" in sensor_tick(empty_instance).skip_message


def test_an_empty_folder_is_a_reason_to_skip(empty_instance, tmp_path, monkeypatch):
    monkeypatch.setenv(sensors.FOLDER_VARIABLE, str(tmp_path))
    assert "holds no files named .warc" in sensor_tick(empty_instance).skip_message
