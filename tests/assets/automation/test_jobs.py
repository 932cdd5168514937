"""Jobs: the assets that each selects."""

from assets.automation import jobs
from tests.assets.runs import defs


def test_jobs_divide_the_graph_between_them():
    graph = defs.resolve_asset_graph()
    selected = {job.name: {key.to_user_string() for key in job.selection.resolve(graph)} for job in jobs.JOBS}
    everything = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
    experiments = {"ablations", "ablation_report"}
    assert selected["demo"] == everything - experiments
    assert selected["ablate"] == {"ablations"}
    parts = selected["curate_crawl"] | selected["pretrain"] | selected["align"]
    assert everything - experiments - parts == {"demo_crawl", "quality_classifier", "harmful_classifiers"}
