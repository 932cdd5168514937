"""The sensor `failure_reports`: a readable page about every failed run, and a message to a webhook. Off by default."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

from assets.support.resources import LoamHome
from lm.locations import redacted, workspace

WEBHOOK_VARIABLE = "LOAM_FAILURE_WEBHOOK"
_TIMEOUT_S = 10
_NUM_LINES = 20


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Writes a report of every failed run to failures/RUN.md in the home folder, or in the cache if the "
    "home is in a store. The report has the job, groups, asset, reason and last log lines. "
    f'{WEBHOOK_VARIABLE} sets a webhook that receives the summary as {{"text": …}}, as Slack and Mattermost expect.',
)
def failure_reports(context: dg.RunFailureSensorContext, home: LoamHome) -> None:
    """Write the report of one failed run, and post its summary."""
    summary = summary_of(context)
    folder = workspace(home.root / "failures")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{context.dagster_run.run_id}.md"
    path.write_text("\n".join([*summary, "", *_log_lines(context)]) + "\n", "utf-8")
    context.log.info(f"wrote {path}")
    if (address := os.environ.get(WEBHOOK_VARIABLE)) is not None:
        _post(context, address, "\n".join(summary), path)


def summary_of(context: dg.RunFailureSensorContext) -> list[str]:
    """Return what failed and why, in a few lines of Markdown."""
    run = context.dagster_run
    groups = run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_start")
    lines = [f"# {run.job_name} failed", "", f"- run: {run.run_id}"]
    if groups:
        lines.append(f"- groups: from {groups}")
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        told = data.user_failure_data.description if data.user_failure_data else None
        error = data.error
        reason = told or (f"{error.cls_name}: {error.message.strip().splitlines()[-1]}" if error else "unknown")
        lines.append(f"- {event.step_key}: {reason}")
    if not context.get_step_failure_events():
        lines.append(f"- {context.failure_event.message}")
    return lines


def _log_lines(context: dg.RunFailureSensorContext) -> list[str]:
    entries = context.instance.all_logs(context.dagster_run.run_id)
    lines = [
        f"{entry.step_key or ''} {entry.user_message}".strip().splitlines()[0]
        for entry in entries
        if entry.user_message
    ]
    return ["## Last lines", "", "```", *lines[-_NUM_LINES:], "```"]


def _post(context: dg.RunFailureSensorContext, address: str, text: str, path: Path) -> None:
    import requests

    try:
        requests.post(address, json={"text": text}, timeout=_TIMEOUT_S).raise_for_status()
    except requests.RequestException as error:
        # The report is written; the next failure tries the address again. The address may carry a token.
        context.log.warning(f"{redacted(address)}: {type(error).__name__}, the report is in {path}")
