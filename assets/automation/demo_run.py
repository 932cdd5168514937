"""The run of the job `demo`: its groups of WARC files, its tags and its configuration."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import Any

import dagster as dg
import yaml

from assets.automation import presets
from assets.automation.partitions import WARC_GROUPS
from pipelines.paths import partition_key

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Tags of a run that covers a range of partitions."""


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


def demo_run_config(num_pages: int | None = None, seed: int = 0) -> dict[str, Any]:
    """Return the configuration of a run of `demo`: its preset, with one seed for all steps."""
    ops = presets.demo(seed)
    if num_pages is not None:
        ops["demo_crawl"]["num_pages"] = num_pages
    return {"ops": {name: {"config": config} for name, config in ops.items()}}


def launchpad_link(job: str, run_config: Mapping[str, Any]) -> str:
    """Return the address of a job's launchpad, below the UI's own, with a configuration filled in.

    Dagster's launchpad shows the assets' own defaults, not those of a job.
    """
    config = yaml.safe_dump(dict(run_config), sort_keys=False)
    query = urllib.parse.urlencode({"mode": "default", "config": config}, quote_via=urllib.parse.quote)
    return f"/locations/loam/jobs/{job}/playground/setup?{query}"
