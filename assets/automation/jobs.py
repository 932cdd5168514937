"""Dagster jobs: the whole chain on the built-in crawl, and its parts for real crawls."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.automation.demo_run import RANGE_END, RANGE_START, demo_run_config, demo_tags, launchpad_link
from lm.configuration import to_mapping
from lm.scaling.grid_config import GRIDS, GridConfig
from pipelines.curation.steps import CURATION

_PARTITIONED = dg.AssetSelection.assets("warc_files", *(step.artifact for step in CURATION if step.partitioned))

_EXPERIMENTS = dg.AssetSelection.groups("experiments", "scaling_law")

demo = dg.define_asset_job(
    "demo",
    selection=dg.AssetSelection.all() - _EXPERIMENTS,
    config=demo_run_config(),
    tags=demo_tags(),
    description="Everything but experiments, on the built-in crawl, at a size for a laptop's CPU: about ten minutes on "
    f"two cores. `make demo` runs it. To start it here: [open the launchpad with its settings]({launchpad_link()}), "
    "*Launch Run*, *Confirm*. No partition has to be picked: the tags name the groups.",
)

curate_crawl = dg.define_asset_job(
    "curate_crawl",
    selection=_PARTITIONED,
    description="One group of WARC files, from download to masked documents. Needs the trained classifiers.",
)

pretrain = dg.define_asset_job(
    "pretrain",
    selection=dg.AssetSelection.assets(
        "alignment_data",
        "evaluation_items",
        "added_documents",
        "unique_documents",
        "clean_documents",
        "curation_report",
        "tokenizer",
        "token_shards",
        "tokenizer_report",
        "training_mixture",
    )
    | dg.AssetSelection.groups("pretraining", "scaling"),
    description="From all curated groups to a pre-trained model: one clean corpus, tokenizer, shards, training.",
)

align = dg.define_asset_job(
    "align",
    selection=dg.AssetSelection.groups("alignment", "evaluation"),
    description="SFT, DPO, GRPO and the evaluation report, from the pre-trained model.",
)

evaluate = dg.define_asset_job(
    "evaluate",
    selection=dg.AssetSelection.groups("evaluation"),
    description="The evaluation report: every training stage on the same held-out problems.",
)

ablate = dg.define_asset_job(
    "ablate",
    selection=dg.AssetSelection.assets("ablations"),
    description="Short trainings of equal budget on the token shards, one question a partition. Then: ablation_report.",
)


def law_job(name: str, grid: GridConfig, description: str) -> UnresolvedAssetJobDefinition:
    """Return the job of the own law with one of the grids: all budgets, the fit, the prediction, its test, the page."""
    config = {asset: {"config": to_mapping(grid)} for asset in ("law_runs", "law_prediction", "law_test")}
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.groups("scaling_law") - dg.AssetSelection.assets("scaling_runs"),
        config={"ops": config},
        tags={RANGE_START: "0", RANGE_END: str(len(grid.budgets_flops) - 1)},
        description=description,
    )


scaling_law = law_job(
    "scaling_law",
    GRIDS["demo"],
    "The own scaling law on a CPU: a grid of trainings, a prediction for four times the largest budget, its test.",
)

scaling_law_gpu = law_job("scaling_law_gpu", GRIDS["gpu"], "The own scaling law with larger models, for one GPU.")

JOBS = [demo, curate_crawl, pretrain, align, evaluate, ablate, scaling_law, scaling_law_gpu]
