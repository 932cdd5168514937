"""The curation at a glance: what came to each step, what left it and why, as a table for programs and a page for
people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm import storage
from lm.code_version import source_digest
from lm.storage import Artifact, Publication, open_artifact
from pipelines import layout
from pipelines.curate import CURATION, funnel

_NUM_REASONS = 12


def steps_of(root: Path) -> list[Artifact]:
    """The artifacts of every step below `root`, of each group that went into the deduplicated corpus.

    Raises:
        InputError: a step, or one of a group, is missing.
    """
    corpus = [
        open_artifact(layout.artifact_path(step.artifact, root=root)) for step in CURATION if not step.partitioned
    ]
    before = [
        open_artifact(layout.artifact_path(step.artifact, group, root))
        for step in CURATION
        if step.partitioned
        for group in sorted(corpus[0].inputs)
    ]
    return [*before, *corpus]


def write_curation_report(steps: Sequence[Artifact], target: Path) -> Artifact:
    """Publish `funnel.json` and `report.md` over the artifacts of all steps."""

    def write(publication: Publication) -> None:
        rows = funnel(steps)
        storage.write_json(publication.path / "funnel.json", rows)
        (publication.path / "report.md").write_text(render(rows), encoding="utf-8")
        publication.summary.update(num_in=rows[0]["num_in"], num_kept=rows[-1]["num_kept"], num_steps=len(rows))

    return storage.make(
        target,
        write,
        kind="curation_report",
        config={},
        inputs={f"{i:04d} {artifact.summary['stage']}": artifact.digest for i, artifact in enumerate(steps)},
        code=source_digest("pipelines.curation_report"),
    )


def render(rows: Sequence[Mapping[str, Any]]) -> str:
    """The report as Markdown."""
    lines = ["# Curation", "", "| step | in | kept | removed | lost | share kept |", "|---|--:|--:|--:|--:|--:|"]
    lines += [
        f"| {row['stage']} | {row['num_in']:,} | {row['num_kept']:,} | {row['num_removed']:,} | {row['num_lost']:,} | "
        f"{row['kept_share']:.1%} |"
        for row in rows
    ]
    lines += ["", "## Why documents left", "", "| step | rule | documents |", "|---|---|--:|"]
    for row in rows:
        reasons = sorted(
            {**row["removed_by_rule"], **row["lost_by_reason"]}.items(), key=lambda item: (-item[1], item[0])
        )
        lines += [f"| {row['stage']} | {rule} | {count:,} |" for rule, count in reasons[:_NUM_REASONS]]
    return "\n".join(lines) + "\n"
