"""Jobs: the assets that each selects, and their partitions."""

import dagster as dg
import pytest

from assets.automation import jobs
from assets.automation.partitions import ABLATION_QUESTIONS, PER_GROUP, WARC_GROUPS
from tests.assets.runs import defs


def test_jobs_divide_the_graph_between_them():
    graph = defs.resolve_asset_graph()
    selected = {job.name: {key.to_user_string() for key in job.selection.resolve(graph)} for job in jobs.JOBS}
    everything = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
    experiments = {"ablations", "ablation_report"}
    assert selected["demo"] == everything - experiments
    assert selected["ablate"] == {"ablations"}
    parts = selected["curate_crawl"] | selected["pretrain"] | selected["align"]
    assert everything - experiments - parts == {"demo_crawl", "quality_classifier", "harm_classifiers"}


@pytest.mark.parametrize(
    ("name", "partitions"), [("curate_crawl", WARC_GROUPS), ("ablate", ABLATION_QUESTIONS), ("align", None)]
)
def test_a_job_has_the_partitions_of_its_assets(name, partitions):
    assert defs.resolve_job_def(name).partitions_def == partitions


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
        jobs.register_demo_groups(instance)
        assert set(instance.get_dynamic_partitions("warc_groups")) == {*before, "demo/g0000", "demo/g0001"}
        assert dg.materialize([warc_files], instance=instance, tags=jobs.demo_tags()).success
    assert seen == ["demo/g0000", "demo/g0001"]
