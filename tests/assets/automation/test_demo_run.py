"""The run of the job `demo`: its groups, and the launchpad's link."""

import urllib.parse

import dagster as dg
import pytest
import yaml

from assets.automation import demo_run, jobs
from assets.automation.partitions import PER_GROUP
from assets.support.launchpad import check_run
from tests.assets.runs import defs


def test_the_launchpads_link_has_the_configuration_of_the_demo():
    link = demo_run.launchpad_link("demo", demo_run.demo_run_config())
    found = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)
    assert yaml.safe_load(found["config"][0]) == demo_run.demo_run_config()
    assert link in jobs.demo.description
    dg.validate_run_config(defs.resolve_job_def("demo"), demo_run.demo_run_config())
    check_run(demo_run.demo_run_config())


CRAWL = "CC-MAIN-2024-22/g0000"


@pytest.mark.parametrize(
    "before",
    [
        [],
        ["demo/g0000", "demo/g0001"],
        ["demo/g0001", "demo/g0000"],
        ["demo/g0001"],
        ["demo/g0000", CRAWL],
        ["demo/g0000", CRAWL, "demo/g0001"],
        [CRAWL, "demo/g0001", "demo/g0000", "own/g0000"],
    ],
)
def test_the_demos_range_covers_its_groups_alone(before):
    seen = []

    @dg.asset(**PER_GROUP)
    def warc_files(context: dg.AssetExecutionContext) -> None:
        seen.extend(context.partition_keys)

    with dg.DagsterInstance.ephemeral() as instance:
        for key in before:
            instance.add_dynamic_partitions("warc_groups", [key])
        demo_run.register_demo_groups(instance)
        assert set(instance.get_dynamic_partitions("warc_groups")) == {*before, "demo/g0000", "demo/g0001"}
        assert dg.materialize([warc_files], instance=instance, tags=demo_run.demo_tags()).success
    assert seen == ["demo/g0000", "demo/g0001"]
