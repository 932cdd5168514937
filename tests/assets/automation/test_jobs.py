"""Jobs: the assets that each selects, and their partitions."""

import pytest

from assets.automation import jobs
from assets.automation.partitions import ABLATION_QUESTIONS, LAW_BUDGETS, WARC_GROUPS
from tests.assets.runs import defs


def test_jobs_divide_the_graph_between_them():
    graph = defs.resolve_asset_graph()
    selected = {job.name: {key.to_user_string() for key in job.selection.resolve(graph)} for job in jobs.JOBS}
    everything = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
    law = {"scaling_runs", "law_runs", "law_prediction", "law_test", "law_report"}
    alignment = {"reward_model", "ppo_model", "rejection_samples", "expert_model", "alignment_report"}
    experiments = {"ablations", "ablation_report", "systems_report"} | alignment | law
    assert selected["demo"] == everything - experiments
    assert selected["ablate"] == {"ablations"}
    assert selected["scaling_law"] == law - {"scaling_runs"}
    parts = selected["curate_crawl"] | selected["pretrain"] | selected["align"]
    assert everything - experiments - parts == {"demo_crawl", "quality_classifier", "harm_classifiers"}


@pytest.mark.parametrize(
    ("name", "partitions"),
    [("curate_crawl", WARC_GROUPS), ("ablate", ABLATION_QUESTIONS), ("scaling_law", LAW_BUDGETS), ("align", None)],
)
def test_a_job_has_the_partitions_of_its_assets(name, partitions):
    assert defs.resolve_job_def(name).partitions_def == partitions
