"""The schedule of the newest crawl: off, and what each tick does."""

import json

import dagster as dg
import pytest

from assets.automation import schedules
from tests.pipelines.crawl_server import CrawlServer

CRAWL = "CC-MAIN-2024-22"


def groups_of(instance):
    return sorted(instance.get_dynamic_partitions("warc_groups"))


def test_the_schedule_is_off():
    assert schedules.newest_crawl.default_status == dg.DefaultScheduleStatus.STOPPED


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
