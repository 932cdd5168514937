"""Dagster jobs: the whole chain on the built-in crawl, and its parts for real crawls."""

from __future__ import annotations

from typing import Any

import dagster as dg

from assets.automation import presets
from assets.automation.partitions import WARC_GROUPS
from pipelines.curation.steps import CURATION
from pipelines.paths import partition_key

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Tags of a run that covers a range of partitions."""

_PARTITIONED = dg.AssetSelection.assets("warc_files", *(step.artifact for step in CURATION if step.partitioned))

_EXPERIMENTS = dg.AssetSelection.groups("experiments")

demo = dg.define_asset_job(
    "demo",
    selection=dg.AssetSelection.all() - _EXPERIMENTS,
    executor_def=dg.in_process_executor,
    description="Everything but experiments, on the built-in crawl, at a size for a laptop's CPU. `make demo` runs it.",
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
    executor_def=dg.in_process_executor,
    description="From all curated groups to a pre-trained model: one clean corpus, tokenizer, shards, training.",
)

align = dg.define_asset_job(
    "align",
    selection=dg.AssetSelection.groups("alignment", "evaluation"),
    executor_def=dg.in_process_executor,
    description="SFT, DPO, GRPO and the evaluation report, from the pre-trained model.",
)

ablate = dg.define_asset_job(
    "ablate",
    selection=dg.AssetSelection.assets("ablations"),
    description="Short trainings of equal budget on the token shards, one question a partition. Then: ablation_report.",
)

JOBS = [demo, curate_crawl, pretrain, align, ablate]


def demo_partitions() -> list[str]:
    """Return the partition keys of the built-in crawl's groups."""
    return [partition_key(presets.DEMO_CRAWL, group) for group in range(presets.NUM_DEMO_GROUPS)]


def register_demo_groups(instance: dg.DagsterInstance) -> None:
    """Register the built-in crawl's groups with the instance, in one sequence: the demo's run covers a range of
    partitions, in the order of registration.
    """
    name, wanted = str(WARC_GROUPS.name), demo_partitions()
    known = list(instance.get_dynamic_partitions(name))
    start = known.index(wanted[0]) if wanted[0] in known else len(known)
    if known[start : start + len(wanted)] == wanted:
        return
    for key in set(wanted) & set(known):
        instance.delete_dynamic_partition(name, key)
    instance.add_dynamic_partitions(name, wanted)


def demo_tags() -> dict[str, str]:
    """Return the tags of a run of `demo`: all of the built-in crawl's groups in one run."""
    partitions = demo_partitions()
    return {RANGE_START: partitions[0], RANGE_END: partitions[-1]}


def demo_run_config(num_pages: int | None, seed: int) -> dict[str, Any]:
    """Return the configuration of a run of `demo`: its preset, with one seed for all steps."""
    ops = presets.demo(seed)
    if num_pages is not None:
        ops["demo_crawl"]["num_pages"] = num_pages
    return {"ops": {name: {"config": config} for name, config in ops.items()}}
