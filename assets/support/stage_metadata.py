"""Dagster metadata of a curation step: the funnel so far, removals by rule, score distributions, samples and speed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import dagster as dg

from assets.support import plots
from assets.support.plots import rounded
from assets.support.resources import LoamHome
from lm.errors import AbsentError
from lm.storage import Artifact
from pipelines.curation.funnel import funnel
from pipelines.curation.steps import CURATION, Step

Metadata = dict[str, dg.MetadataValue[Any]]

_NOT_YET_JUDGED = "\nThese pages have not been scored for harmful text yet.\n"


def stage_metadata(home: LoamHome, artifact: Artifact, groups: Sequence[str]) -> Metadata:
    """Return charts and samples of one artifact of a step, made of `groups`."""
    # Here, since loading the definitions should not wait for what only a run needs.
    from pipelines.report.html_page import stage_charts
    from pipelines.report.samples import HARMFUL_STAGE, markdown_table
    from pipelines.report.step_facts import stage_facts

    step = next(step for step in CURATION if step.stage == artifact.summary["stage"])
    before = CURATION[: CURATION.index(step)]
    facts = stage_facts([artifact], _published(home, before[-1], groups) if before else [])
    earlier = [each for other in before for each in _published(home, other, groups)]
    rows = funnel([*earlier, artifact])
    metadata: Metadata = funnel_charts(rows)
    for name, drawn in stage_charts(facts).items():
        metadata[name] = plots.svg(name, drawn)
    if facts.languages:
        metadata["languages"] = plots.table(_without_empty_columns([asdict(each) for each in facts.languages]))
    judged = step.stage == HARMFUL_STAGE or any(other.stage == HARMFUL_STAGE for other in before)
    note = "" if judged else _NOT_YET_JUDGED
    if facts.kept:
        metadata["kept_samples"] = dg.MetadataValue.md(markdown_table(facts.kept, "found") + note)
    if facts.removed:
        metadata["removed_samples"] = dg.MetadataValue.md(markdown_table(facts.removed, "why") + note)
    return metadata


def _without_empty_columns(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    named = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    return [{name: row[name] for name in named} for row in rows]


def funnel_charts(rows: Sequence[Mapping[str, Any]]) -> Metadata:
    """Return the funnel twice: small, which Dagster's page shows at once, and with every figure."""
    from pipelines.report import charts, small_charts

    title = "Documents at each step"
    return {
        "funnel": plots.inline("funnel", small_charts.funnel(rows)),
        "funnel_chart": plots.svg(title, charts.funnel(title, rows)),
    }


def digests(home: LoamHome, name: str, partitions: Iterable[str | None]) -> dict[str | None, str]:
    """Return the digests of the artifacts of asset `name`, by partition."""
    found = {}
    for partition in partitions:
        try:
            found[partition] = home.artifact(name, partition).digest
        except AbsentError:
            continue  # not materialized yet
    return found


def throughput(
    artifacts: Mapping[str, Artifact] | Mapping[None, Artifact],
    seconds: float,
    before: Mapping[str | None, str],
    num_bytes: int | None = None,
) -> Metadata:
    """Return documents and megabytes a second, of incoming text or of `num_bytes`. Empty unless every partition was
    made in this run: existing artifacts take no time.
    """
    if not seconds or any(artifact.digest == before.get(key) for key, artifact in artifacts.items()):
        return {}
    summaries = [artifact.summary for artifact in artifacts.values()]
    size = num_bytes if num_bytes is not None else sum(summary["text_bytes_in"] for summary in summaries)
    return {
        "documents_per_second": dg.MetadataValue.float(rounded(sum(s["num_in"] for s in summaries) / seconds)),
        "megabytes_per_second": dg.MetadataValue.float(rounded(size / 1e6 / seconds)),
    }


def _published(home: LoamHome, step: Step, groups: Sequence[str]) -> list[Artifact]:
    """Return a step's published artifacts of the groups."""
    found = []
    for group in groups if step.partitioned else [None]:
        try:
            found.append(home.artifact(step.artifact, group))
        except AbsentError:
            continue  # removed since; what follows can still be shown
    return found
