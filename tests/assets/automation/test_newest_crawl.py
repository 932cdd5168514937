"""The sensor of the newest crawl: off, and what each tick does, also previewed twice and without a network."""

import json
import socket
import time

import dagster as dg
import pytest

from assets.automation import newest_crawl as automation
from assets.automation.newest_crawl import newest_crawl
from lm.errors import UnreachableError
from tests.assets.runs import defs
from tests.pipelines.crawl_server import CrawlServer, Fault

CRAWL = "CC-MAIN-2024-22"
LISTING = json.dumps([{"id": CRAWL, "name": "May 2024"}, {"id": "CC-MAIN-2024-18", "name": "April 2024"}]).encode()
GROUPS = [f"{CRAWL}/g0000", f"{CRAWL}/g0001"]


def tick(instance):
    with dg.build_sensor_context(instance=instance, definitions=defs) as context:
        return newest_crawl(context)


def registered(instance):
    return sorted(instance.get_dynamic_partitions("warc_groups"))


@pytest.fixture(scope="module")
def idle_instance():
    """One instance for the ticks that ask for nothing."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def server(monkeypatch):
    with CrawlServer({"collinfo.json": LISTING}) as serving:
        monkeypatch.setenv(automation.INDEX_VARIABLE, serving.url)
        monkeypatch.setenv(automation.NUM_GROUPS_VARIABLE, "2")
        yield serving


def apply(instance, result):
    """What the daemon does with a result: it adds the partitions."""
    for request in result.dynamic_partitions_requests:
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))


def ended(instance, request, status):
    instance.create_run_for_job(
        defs.resolve_job_def("curate_crawl"), status=status, tags={"dagster/partition": request.partition_key}
    )


def test_the_sensor_is_off():
    assert newest_crawl.default_status == dg.DefaultSensorStatus.STOPPED


@pytest.mark.fault(43)
def test_a_preview_changes_nothing_and_the_next_tick_asks_for_the_same(empty_instance, server):
    first, second = tick(empty_instance), tick(empty_instance)
    for result in (first, second):
        assert [request.partition_key for request in result.run_requests] == GROUPS
        assert list(result.dynamic_partitions_requests[0].partition_keys) == GROUPS
    assert [request.run_key for request in first.run_requests] == [request.run_key for request in second.run_requests]
    assert registered(empty_instance) == [] and empty_instance.get_runs() == []


@pytest.mark.fault(43)
def test_the_daemons_own_evaluation_asks_for_groups_that_are_not_registered_yet(empty_instance, server):
    repository = defs.get_repository_def()
    with dg.build_sensor_context(
        instance=empty_instance, instance_ref=empty_instance.get_ref(), repository_def=repository
    ) as context:
        found = repository.get_sensor_def("newest_crawl").evaluate_tick(context)
    assert [request.tags["dagster/partition"] for request in found.run_requests] == GROUPS
    assert registered(empty_instance) == []


@pytest.mark.fault(43)
def test_what_failed_comes_again_and_what_succeeded_does_not(empty_instance, server):
    first = tick(empty_instance)
    apply(empty_instance, first)
    ended(empty_instance, first.run_requests[0], dg.DagsterRunStatus.SUCCESS)
    ended(empty_instance, first.run_requests[1], dg.DagsterRunStatus.FAILURE)
    second = tick(empty_instance)
    assert [request.partition_key for request in second.run_requests] == [GROUPS[1]]
    assert second.run_requests[0].run_key != first.run_requests[1].run_key  # a key is served once
    assert not second.dynamic_partitions_requests
    ended(empty_instance, second.run_requests[0], dg.DagsterRunStatus.STARTED)
    assert tick(empty_instance).skip_message == f"{CRAWL}: 2 groups are already curated or running"


@pytest.mark.fault(43)
def test_without_a_network_a_tick_is_one_line_after_two_attempts(idle_instance, server):
    server.faults = [Fault(status=503)] * 9
    told = tick(idle_instance).skip_message
    assert "\n" not in told and "gave up after 2 attempts" in told and server.url in told
    assert len(server.requests) == 2


@pytest.mark.fault(43)
def test_a_closed_port_is_one_line(idle_instance, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv(automation.INDEX_VARIABLE, f"http://127.0.0.1:{unused.getsockname()[1]}/")
        told = tick(idle_instance).skip_message
    assert "gave up after 2 attempts" in told and "\n" not in told


@pytest.mark.fault(43)
def test_a_silent_server_ends_the_tick_in_time(idle_instance, server, monkeypatch):
    monkeypatch.setattr(automation, "TICK_S", 0.5)
    server.faults = [Fault(stall_s=3, cut_at=5)] * 2
    start = time.monotonic()
    assert tick(idle_instance).skip_message == f"{server.url}: no answer within 0.5 s"
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5"])
def test_a_number_of_groups_that_is_none_is_named(idle_instance, server, monkeypatch, number):
    monkeypatch.setenv(automation.NUM_GROUPS_VARIABLE, number)
    assert f"LOAM_GROUPS_PER_CRAWL: '{number}', expected a whole number" in tick(idle_instance).skip_message


def test_a_server_without_crawls_is_named(idle_instance, server):
    server.files["collinfo.json"] = b"[]"
    assert "lists no crawls" in tick(idle_instance).skip_message


def test_a_value_or_an_error_comes_through_in_time():
    assert automation.within(1, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        automation.within(1, lambda: 1 / 0)
    with pytest.raises(UnreachableError, match=r"no answer within 0\.01 s"):
        automation.within(0.01, lambda: time.sleep(1))
