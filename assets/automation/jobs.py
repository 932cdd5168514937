"""Dagster jobs: the whole chain on the built-in crawl, and its parts for real crawls."""

from __future__ import annotations

import dagster as dg

from assets.automation.demo_run import demo_run_config, demo_tags, launchpad_link
from assets.automation.law_run import law_run_config, law_tags
from lm.scaling.grid_config import GRIDS
from pipelines.curation.steps import CURATION

_PARTITIONED = dg.AssetSelection.assets("warc_files", *(step.artifact for step in CURATION if step.partitioned))

_EXPERIMENTS = dg.AssetSelection.groups("experiments", "scaling_law")

demo = dg.define_asset_job(
    "demo",
    selection=dg.AssetSelection.all() - _EXPERIMENTS,
    config=demo_run_config(),
    tags=demo_tags(),
    description="All assets except the experiments, on the built-in crawl, sized for a laptop CPU: about ten minutes "
    "on two cores. `make demo` runs this job. To start the job here, [open the launchpad with its settings]"
    f"({launchpad_link('demo', demo_run_config())}) and click *Launch Run*. No partition selection is needed: the tags "
    "name the groups.",
)

curate_crawl = dg.define_asset_job(
    "curate_crawl",
    selection=_PARTITIONED,
    description="One group of WARC files, from download to masked documents. Click *Materialize all*, choose a "
    "partition such as `local/g0000`, and set the folder under *Config* (`warc_files: {config: {folder: …}}`). A "
    "Common Crawl group needs no folder. The steps `harmful` and `quality` need classifiers trained on labels of "
    "similar pages, or `judge: none`.",
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
    description="Short training runs of equal budget on the token shards, one question per partition. Materialize "
    "`ablation_report` afterwards.",
)

scaling_law = dg.define_asset_job(
    "scaling_law",
    selection=dg.AssetSelection.groups("scaling_law") - dg.AssetSelection.assets("scaling_runs"),
    tags=law_tags(),
    description="Loam's own scaling law in one run. The job trains a grid, predicts the loss at four times the largest "
    "budget, tests the prediction and writes a report. The default grid is sized for a CPU and takes half an hour. For "
    "one GPU: "
    f"[open the launchpad with the larger grid]({launchpad_link('scaling_law', law_run_config(GRIDS['gpu']))}).",
)

JOBS = [demo, curate_crawl, pretrain, align, evaluate, ablate, scaling_law]
