"""Declarative automation: which assets Dagster materializes by itself, once `automation` is switched on.

A new group is curated step by step as soon as what it needs is there; reports follow what they report on. Trainings are
never started by a condition: they cost too much to follow every change.
"""

from __future__ import annotations

import dagster as dg

from pipelines.curation.steps import CURATION

REPORTS = ("curation_report", "tokenizer_report", "ablation_report")
"""Assets that follow every change of what they report on."""

PER_GROUP_CHAIN = ("warc_files", *(step.artifact for step in CURATION if step.partitioned))
"""Assets of a group, made as soon as the group is added and what they need is there."""

# A real crawl needs no built-in one.
_MISSING = dg.AutomationCondition.on_missing().ignore(dg.AssetSelection.assets("demo_crawl"))
_EAGER = dg.AutomationCondition.eager()


def automated(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Return the specification of an asset with its automation condition, if it has one."""
    name = spec.key.to_user_string()
    if name in PER_GROUP_CHAIN:
        return spec.replace_attributes(automation_condition=_MISSING)
    if name in REPORTS:
        return spec.replace_attributes(automation_condition=_EAGER)
    return spec


automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.assets(*PER_GROUP_CHAIN, *REPORTS),
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Curates every group that is added after this sensor is switched on, step by step, and refreshes "
    "reports when their inputs change. The source of a group must be stored (python -m assets partitions add).",
)
