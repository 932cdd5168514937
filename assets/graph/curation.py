"""Assets of the curation: clean, deduplicated documents from WARC files, step by step, with exact accounts."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import dagster as dg

from assets.automation.partitions import PER_GROUP, WARC_GROUPS, chosen_partitions
from assets.graph.crawl import content_digests, read_listing, warc_files
from assets.graph.curation_checks import CHECKS, GROUP_CHECKS, specs
from assets.graph.group_results import each_group, report_groups
from assets.support import plots
from assets.support.checks import Made, check_groups, results
from assets.support.failures import explained
from assets.support.launchpad import config_of, given, schema_of
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch, in_log, result
from assets.support.stage_metadata import Metadata, digests, funnel_charts, stage_metadata, throughput
from lm.configuration import Doc, settle, to_mapping
from lm.errors import InputError, LoamError
from lm.storage import Artifact, find_artifact
from pipelines.curation.funnel import funnel
from pipelines.curation.settings import AddedSources, EvaluationSources, check_same_settings, evaluation_sets, laid_over
from pipelines.curation.steps import (
    DECONTAMINATION,
    DEDUPLICATION,
    EXTRACTION,
    JUDGING,
    LAST_OF_PARTITION,
    Step,
    step_before,
)
from pipelines.decontamination.corpus import decontaminate_corpus, first_matches, sets_of
from pipelines.decontamination.items import publish_evaluation_items
from pipelines.dedup.corpus import DeduplicationConfig, deduplicate_partitions
from pipelines.extract.partition import ExtractJob, extract_partitions
from pipelines.filters.run import run_stage_partitions
from pipelines.paths import parse_partition
from pipelines.report.curation import FUNNEL, MARKDOWN, PAGE, matches_table, steps_of, write_curation_report
from pipelines.sources.added_documents import publish_added_documents
from pipelines.sources.warc_file import WarcFile
from pipelines.sources.warc_groups import fetch_missing

_DOCUMENTS_A_WORKER = 20_000
_FUNNEL_COLUMNS = ("stage", "num_in", "num_kept", "num_removed", "num_lost", "text_bytes_kept")


@dg.asset(
    name=EXTRACTION.artifact,
    description=EXTRACTION.description,
    group_name="curation",
    deps=[warc_files],
    config_schema=schema_of(EXTRACTION.artifact, EXTRACTION.config),
    check_specs=specs(EXTRACTION.artifact, WARC_GROUPS),
    **PER_GROUP,
)
@explained
def raw_documents(context: dg.AssetExecutionContext, home: LoamHome) -> Iterator[Any]:
    """Extract the pages of the groups of this run."""
    config = _settled(context, home, EXTRACTION)
    before = digests(home, EXTRACTION.artifact, context.partition_keys)
    watch = Stopwatch()
    failed: dict[str, LoamError] = {}

    def files_of(partition: str) -> list[WarcFile]:
        files = read_listing(home.artifact("warc_files", partition), home)
        fetch_missing(files)
        return files

    jobs = {
        partition: ExtractJob(files, partition, home.target(EXTRACTION.artifact, partition), content_digests(files))
        for partition, files in each_group(context.partition_keys, files_of, failed).items()
    }
    num_bytes = sum(file.size_bytes for job in jobs.values() for file in job.files)
    artifacts = extract_partitions(
        jobs, config, num_children=os.cpu_count() or 1, report=in_log(context), failed=failed
    )
    speed = throughput(artifacts, watch.seconds, before, num_bytes)
    yield from report_groups(
        context,
        home,
        artifacts,
        failed,
        watch,
        checks=CHECKS[EXTRACTION.artifact],
        plots_of=_shown(home),
        joint=speed,
    )


def _judging_asset(step: Step) -> dg.AssetsDefinition:
    """Return the asset of a step that judges documents batch by batch."""
    source = step_before(step).artifact

    @dg.asset(
        name=step.artifact,
        description=step.description,
        group_name="curation",
        deps=[source, *([step.classifiers] if step.classifiers else [])],
        config_schema=schema_of(step.artifact, step.config),
        check_specs=specs(step.artifact, WARC_GROUPS),
        **PER_GROUP,
    )
    @explained
    def judged_documents(context: dg.AssetExecutionContext, home: LoamHome) -> Iterator[Any]:
        config = _settled(context, home, step)
        failed: dict[str, LoamError] = {}
        found = each_group(context.partition_keys, lambda partition: home.artifact(source, partition), failed)
        stages = each_group(found, lambda partition: step.make_stage(config, home.root, found[partition]), failed)
        sources = {partition: found[partition] for partition in stages}
        targets = {partition: home.target(step.artifact, partition) for partition in sources}
        before = digests(home, step.artifact, sources)
        watch = Stopwatch()
        artifacts = run_stage_partitions(
            stages,
            sources,
            targets,
            settings=to_mapping(config),
            num_workers=_num_workers(sources.values()),
            report=in_log(context),
            failed=failed,
        )
        for row in funnel(artifacts.values()):
            for rule, number in row["rules_off"].items():
                context.log.warning(f"{step.stage}: rule not applied to {number:,} documents: {rule}")
        yield from report_groups(
            context,
            home,
            artifacts,
            failed,
            watch,
            checks=CHECKS[step.artifact],
            plots_of=_shown(home),
            joint=throughput(artifacts, watch.seconds, before),
        )

    return judged_documents


JUDGED = [_judging_asset(step) for step in JUDGING]
"""The assets of all judging steps, in order."""

PARTITIONED = [raw_documents, *JUDGED]
"""The assets that work group by group, in order."""

ALL_GROUPS = dg.AssetDep(JUDGED[-1], partition_mapping=dg.AllPartitionMapping())
"""An asset of the whole corpus needs every group."""


@dataclass(frozen=True, kw_only=True)
class Deduplication:
    """The groups of the corpus, and the settings of deduplication."""

    partitions: Annotated[
        tuple[str, ...],
        Doc(
            "Groups of the corpus, as shell patterns over partition keys, such as CC-MAIN-2024-22/*; every group must "
            "be materialized. * excludes the built-in crawl if there is another crawl; demo/* includes the built-in "
            "crawl."
        ),
    ] = ("*",)
    mixed_settings: Annotated[bool, Doc("Allow groups that were curated with different settings.")] = False
    search: Annotated[DeduplicationConfig, Doc("Kinds of duplicates, and the choice of the kept document.")] = field(
        default_factory=DeduplicationConfig
    )

    def __post_init__(self) -> None:
        settle(self, "unique_documents")


@dg.asset(
    name=DEDUPLICATION.artifact,
    description=DEDUPLICATION.description,
    group_name="corpus",
    deps=[ALL_GROUPS],
    config_schema=schema_of(DEDUPLICATION.artifact, Deduplication),
    check_specs=specs(DEDUPLICATION.artifact),
)
@explained
def unique_documents(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Deduplicate all chosen groups together."""
    config = config_of(context, Deduplication)
    chosen = chosen_partitions(context.instance, config.partitions)
    check_groups(home, chosen, GROUP_CHECKS)
    sources = _last_of(home, chosen)
    if not config.mixed_settings:
        check_same_settings(sources)
    search = laid_over(getattr(home.settings(), DEDUPLICATION.stage), to_mapping(config.search))
    before = digests(home, DEDUPLICATION.artifact, [None])
    watch = Stopwatch()
    target = home.target(DEDUPLICATION.artifact)
    artifact = deduplicate_partitions(
        sources, target, search, num_workers=_num_workers(sources.values()), report=in_log(context)
    )
    crawls = Counter(parse_partition(key)[0] for key in sources)
    partitions = {
        "crawls": dg.MetadataValue.text(", ".join(f"{name}: {number} groups" for name, number in crawls.items())),
        "partitions": dg.MetadataValue.text(", ".join(sorted(sources))),
    }
    speed = throughput({None: artifact}, watch.seconds, before)
    shown = {**stage_metadata(home, artifact, sorted(sources)), **partitions, **speed}
    return result(artifact, watch, shown, _checked(home, DEDUPLICATION.artifact, artifact))


@dg.asset(group_name="sources", deps=["alignment_data"], config_schema=schema_of("evaluation_items", EvaluationSources))
@explained
def evaluation_items(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """The texts of all evaluation sets, for decontamination."""
    watch = Stopwatch()
    config = laid_over(home.settings().evaluation_items, given(context))
    sets = evaluation_sets(config, home.artifact("alignment_data") if config.alignment_heldout else None)
    return result(publish_evaluation_items(sets, home.target("evaluation_items")), watch)


@dg.asset(
    group_name="sources", config_schema=schema_of("added_documents", AddedSources), check_specs=specs("added_documents")
)
@explained
def added_documents(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Documents of added collections, by source; empty unless configured."""
    watch = Stopwatch()
    sources = laid_over(home.settings().added_documents, given(context)).sources
    artifact = publish_added_documents(sources, home.target("added_documents"))
    return result(artifact, watch, checks=_checked(home, "added_documents", artifact))


@dg.asset(
    name=DECONTAMINATION.artifact,
    description=DECONTAMINATION.description,
    group_name="corpus",
    deps=[unique_documents, added_documents, evaluation_items],
    config_schema=schema_of(DECONTAMINATION.artifact, DECONTAMINATION.config),
    check_specs=specs(DECONTAMINATION.artifact),
)
@explained
def clean_documents(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Cut or remove passages of evaluation items."""
    source = home.artifact("unique_documents")
    before = digests(home, "clean_documents", [None])
    watch = Stopwatch()
    artifact = decontaminate_corpus(
        source,
        home.artifact("evaluation_items"),
        home.target("clean_documents"),
        _settled(context, home, DECONTAMINATION),
        home.artifact("added_documents"),
    )
    shown = {
        **stage_metadata(home, artifact, sorted(source.inputs)),
        "matches": dg.MetadataValue.md(matches_table(first_matches(artifact))),
        "evaluation_items": plots.table(sets_of(artifact)),
    }
    shown |= throughput({None: artifact}, watch.seconds, before)
    return result(artifact, watch, shown, _checked(home, DECONTAMINATION.artifact, artifact))


@dg.asset(group_name="corpus", deps=[clean_documents])
@explained
def curation_report(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """The curation report: documents in and out of each step, reasons, charts and samples (report.html, report.md)."""
    watch = Stopwatch()
    report = write_curation_report(steps_of(home.root), home.target("curation_report"))
    rows = json.loads(report.file(FUNNEL).read_text())
    shown = [{name: row[name] for name in _FUNNEL_COLUMNS} for row in rows]
    return result(
        report,
        watch,
        {
            **funnel_charts(rows),
            "stages": plots.table(shown),
            "page": plots.path(report.file(PAGE)),
            "report": dg.MetadataValue.md(report.file(MARKDOWN).read_text(encoding="utf-8")),
        },
    )


def _last_of(home: LoamHome, groups: Iterable[str]) -> dict[str, Artifact]:
    """Return the last artifact of every group.

    Raises:
        InputError: names the groups without one.
    """
    found = {group: find_artifact(home.target(LAST_OF_PARTITION.artifact, group)) for group in groups}
    missing = [group for group, artifact in found.items() if artifact is None]
    if missing:
        raise InputError(
            f"no {LAST_OF_PARTITION.artifact} of {', '.join(missing[:20])}: curate these groups (job curate_crawl), or "
            "choose other groups in `partitions`"
        )
    return {group: artifact for group, artifact in found.items() if artifact is not None}


def _checked(home: LoamHome, name: str, artifact: Artifact) -> list[dg.AssetCheckResult]:
    return results(CHECKS[name], Made(home=home, artifact=artifact))


def _settled(context: dg.AssetExecutionContext, home: LoamHome, step: Step) -> Any:
    """Return the configuration of a step: the home's `curation.yaml`, overridden by the fields set at launch."""
    return laid_over(getattr(home.settings(), step.stage), given(context))


def _num_workers(sources: Iterable[Artifact]) -> int:
    """Return the number of processes worth starting for these documents; a worker needs a second or two to load its
    libraries.
    """
    num_documents = sum(source.summary["num_kept"] for source in sources)
    return max(1, min(os.cpu_count() or 1, num_documents // _DOCUMENTS_A_WORKER))


def _shown(home: LoamHome) -> Callable[[str, Artifact], Metadata]:
    return lambda partition, artifact: stage_metadata(home, artifact, [partition])
