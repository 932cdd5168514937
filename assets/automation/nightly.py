"""The schedule `nightly_evaluation`: every training stage on the held-out problems, where a model has changed. Off by
default."""

from __future__ import annotations

import dagster as dg

from assets.automation.jobs import evaluate
from assets.support.failures import explained
from assets.support.resources import LoamHome
from lm.errors import AbsentError

MODELS = ("pretrained_model", "sft_model", "dpo_model", "grpo_model")


@dg.schedule(
    job=evaluate,
    cron_schedule="0 2 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Evaluates all models at 02:00 UTC, unless the evaluation report is up to date. A failed run is "
    "repeated the next night.",
)
@explained
def nightly_evaluation(context: dg.ScheduleEvaluationContext, home: LoamHome) -> dg.RunRequest | dg.SkipReason:
    """Request the job `evaluate` if the report's inputs differ from the models."""
    try:
        digests = {name: home.artifact(name).digest for name in MODELS}
    except AbsentError as error:
        return dg.SkipReason(f"models are missing: {error}")
    try:
        reported = set(home.artifact("evaluation_report").inputs.values())
    except AbsentError:
        reported = set()
    changed = [name for name, digest in digests.items() if digest not in reported]
    if not changed:
        return dg.SkipReason("the evaluation report is up to date")
    return dg.RunRequest(tags={"loam/changed": ", ".join(changed)})
