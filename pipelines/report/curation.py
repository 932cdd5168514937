"""The curation report: documents in and out of each step, reasons of removal, score distributions and samples; as JSON,
Markdown and HTML.

    funnel.json    one row per step        report.md     the same in words, with samples
    report.html    the same with charts, in one self-contained file

Decisions: nothing here depends on time or machine; how fast a step was is metadata of its asset. Documents that the
harmful-text step removed are counted everywhere and shown nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm import storage
from lm.storage import Artifact, Publication, open_artifact
from pipelines import paths
from pipelines.curation.settings import settings_yaml
from pipelines.curation.steps import CURATION
from pipelines.decontamination.corpus import MATCHES, first_matches
from pipelines.documents.view import read_removals
from pipelines.report.composition import Composition, composition, unjudged_steps
from pipelines.report.html_page import report_page
from pipelines.report.samples import HARMFUL_STAGE, cell, code_cell, markdown_table
from pipelines.report.step_facts import StageFacts, stage_facts

FUNNEL, PAGE, MARKDOWN = "funnel.json", "report.html", "report.md"
_NUM_REASONS = 12
_NUM_LANGUAGES = 40


def steps_of(root: Path) -> dict[str, list[Artifact]]:
    """Return the artifacts of every step below `root`, by stage, for each group of the deduplicated corpus.

    Raises:
        InputError: a step, or one of a group, is missing.
    """
    first = next(step for step in CURATION if not step.partitioned)
    groups = sorted(open_artifact(paths.artifact_path(first.artifact, root=root)).inputs)
    return {
        step.stage: [
            open_artifact(paths.artifact_path(step.artifact, group, root))
            for group in (groups if step.partitioned else [None])
        ]
        for step in CURATION
    }


def write_curation_report(steps: Mapping[str, Sequence[Artifact]], target: Path) -> Artifact:
    """Publish `funnel.json`, `report.md` and `report.html` over the artifacts of all steps, in their order."""

    def write(publication: Publication) -> None:
        facts = facts_of(steps)
        settings = settings_text(steps)
        rows = [each.row for each in facts]
        matches = contamination(steps)
        whole = composition(steps)
        unjudged = unjudged_steps(steps)
        storage.write_json(publication.path / FUNNEL, rows)
        (publication.path / MARKDOWN).write_text(render(facts, matches, settings, whole, unjudged), "utf-8")
        (publication.path / PAGE).write_text(report_page(facts, matches, settings, whole, unjudged), "utf-8")
        publication.summary.update(num_in=rows[0]["num_in"], num_kept=rows[-1]["num_kept"], num_steps=len(rows))
        if whole is not None:
            publication.summary.update(num_crawled=whole.crawled_kept, num_added=whole.added_kept)

    made = [artifact for artifacts in steps.values() for artifact in artifacts]
    return storage.make(
        target,
        write,
        kind="curation_report",
        config={},
        inputs={f"{i:04d} {artifact.summary['stage']}": artifact.digest for i, artifact in enumerate(made)},
    )


def facts_of(steps: Mapping[str, Sequence[Artifact]]) -> list[StageFacts]:
    """Return the facts of each step; harmful documents are elided in all steps."""
    harmful = {
        doc_id
        for artifact in steps.get(HARMFUL_STAGE, ())
        for doc_id in read_removals(artifact).column("doc_id").to_pylist()
    }
    found, sources = [], list[Artifact]()
    for artifacts in steps.values():
        found.append(stage_facts(artifacts, sources, harmful))
        sources = list(artifacts)
    return found


def contamination(steps: Mapping[str, Sequence[Artifact]]) -> list[dict[str, Any]]:
    """Return the first shared passages of the corpus with evaluation items."""
    artifacts = [each for found in steps.values() for each in found if MATCHES in each.files]
    return [row for each in artifacts for row in first_matches(each)]


def settings_text(steps: Mapping[str, Sequence[Artifact]]) -> str:
    """Return the settings of every step as YAML; of groups with different settings, the first group's."""
    shown = {stage: artifacts[0].config for stage, artifacts in steps.items()}
    return settings_yaml(
        {
            stage: {name: value for name, value in config.items() if name not in ("stage", "partition")}
            for stage, config in shown.items()
        }
    )


def render(
    facts: Sequence[StageFacts],
    matches: Sequence[Mapping[str, Any]],
    settings: str,
    whole: Composition | None = None,
    unjudged: Sequence[str] = (),
) -> str:
    """Return the report as Markdown; `unjudged` steps kept every document."""
    lines = [
        "# Curation",
        "",
        *_headline(whole, unjudged),
        "| step | in | kept | removed | lost | share kept |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {row['stage']} | {row['num_in']:,} | {row['num_kept']:,} | {row['num_removed']:,} | {row['num_lost']:,} | "
        f"{row['kept_share']:.1%} |"
        for row in (each.row for each in facts)
    ]
    lines += ["", "## Removals by rule", "", "| step | rule | documents | share |", "|---|---|--:|--:|"]
    for each in facts:
        gone = {**each.row["removed_by_rule"], **each.row["lost_by_reason"]}
        for rule, share in list(each.shares.items())[:_NUM_REASONS]:
            lines.append(f"| {each.row['stage']} | {rule} | {gone[rule]:,} | {share:.2%} |")
    if whole is not None and whole.languages:
        lines += ["", "## Documents by language", "", *_language_rows(whole)]
    for each in facts:
        lines += _samples(each)
    if whole is not None and whole.added_in:
        lines += ["", "## Added documents", "", whole.sentence]
    if matches:
        lines += ["", "## Passages shared with evaluation sets", "", matches_table(matches).rstrip()]
    lines += ["", "## Settings", "", "```yaml", settings.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _headline(whole: Composition | None, unjudged: Sequence[str]) -> list[str]:
    lines = []
    if whole is not None:
        added = f" and {whole.added_kept:,} added documents" if whole.added_in else ""
        lines += [
            f"Kept: {whole.crawled_kept:,} crawled documents ({whole.crawled_share:.1%} of the records read){added}.",
            "",
        ]
    if unjudged:
        lines += [f"Not scored, every document kept: {', '.join(unjudged)}.", ""]
    return lines


def _language_rows(whole: Composition) -> list[str]:
    stages = list(next(iter(whole.languages.values())))
    lines = [f"| language | {' | '.join(stages)} |", f"|---|{'--:|' * len(stages)}"]
    for name, counts in list(whole.languages.items())[:_NUM_LANGUAGES]:
        lines.append(f"| {cell(name)} | {' | '.join(f'{counts[stage]:,}' for stage in stages)} |")
    return lines


def matches_table(matches: Sequence[Mapping[str, Any]]) -> str:
    """Return passages shared with evaluation items, as a Markdown table."""
    lines = ["| set | item | shared words | beginning | page | outcome |", "|---|---|--:|---|---|---|"]
    lines += [
        f"| {cell(row['evaluation_set'])} | {cell(row['item'])} | {row['num_words']} | {cell(row['ngram'])} | "
        f"{code_cell(row['url'])} | {row['outcome']} |"
        for row in matches
    ]
    return "\n".join(lines) + "\n"


def _samples(facts: StageFacts) -> list[str]:
    lines = []
    for title, samples in (("kept", facts.kept), ("removed", facts.removed)):
        if samples:
            lines += ["", f"## {facts.row['stage']}: {title}", "", markdown_table(samples, "found").rstrip()]
    return lines
