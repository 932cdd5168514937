"""The definitions: they load without a warning, and each asset is described."""

import dagster as dg

from tests.assets.runs import defs


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
