"""Curation: from WARC files to clean, deduplicated documents, stage by stage, with exact accounts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import dagster as dg

from assets.automation.partitions import PER_GROUP, chosen_partitions
from assets.graph.classifiers import harmful_classifiers, quality_classifier
from assets.graph.crawl import content_digests, read_listing, warc_files
from assets.support import plots
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch, in_log, partition_results, result
from assets.support.stage_metadata import Metadata, digests, stage_metadata, throughput
from lm.configuration import Doc, Range, settle
from lm.storage import Artifact
from pipelines.decontamination.corpus import DecontaminationConfig, decontaminate_corpus, first_matches, sets_of
from pipelines.decontamination.items import EvaluationSet, publish_evaluation_items
from pipelines.dedup.corpus import DeduplicationConfig, deduplicate_partitions
from pipelines.documents.schema import Stage
from pipelines.extract.partition import ExtractJob, extract_partitions
from pipelines.extract.records import ExtractConfig
from pipelines.filters.crawl_sample import sample_documents
from pipelines.filters.harm_calibration import WANTED_FALSE_POSITIVE_RATE
from pipelines.filters.heuristics import HeuristicFilter
from pipelines.filters.language import LanguageFilter
from pipelines.filters.pii import PiiMasker
from pipelines.filters.repetition import RepetitionFilter
from pipelines.filters.run import run_stage_partitions
from pipelines.filters.trained import harmful_filter, quality_filter
from pipelines.report import charts
from pipelines.report.curation import FUNNEL, MARKDOWN, PAGE, matches_table, steps_of, write_curation_report
from pipelines.sources.added_documents import DocumentSource, publish_added_documents
from pipelines.sources.warc_groups import fetch_missing

_DOCUMENTS_A_WORKER = 20_000
_FUNNEL_COLUMNS = ("stage", "num_in", "num_kept", "num_removed", "num_lost", "text_bytes_kept")


@dataclass(frozen=True, kw_only=True)
class QualityThreshold:
    """Which pages are good enough."""

    threshold: Annotated[
        float | None,
        Doc("Keep pages that score at least this; empty takes the threshold chosen when the classifier was trained."),
        Range(0, 1),
    ] = None

    def __post_init__(self) -> None:
        settle(self, "quality_documents")


@dataclass(frozen=True, kw_only=True)
class HarmThresholds:
    """Which pages are too harmful."""

    toxic_threshold: Annotated[
        float | None,
        Doc("Remove pages whose toxic score reaches this; empty chooses it by the wanted rate."),
        Range(0, 1),
    ] = None
    adult_threshold: Annotated[
        float | None,
        Doc("Remove pages whose adult score reaches this; empty chooses it by the wanted rate."),
        Range(0, 1),
    ] = None
    wanted_false_positive_rate: Annotated[
        float,
        Doc(
            "The share of a group's harmless pages that may be removed as toxic, and as adult. It is "
            "estimated on the group's own pages, and the threshold chosen at training is raised, or lowered "
            "to half, until it holds."
        ),
        Range(above=0, below=1),
    ] = WANTED_FALSE_POSITIVE_RATE

    def __post_init__(self) -> None:
        settle(self, "harmless_documents")


@dg.asset(group_name="curation", deps=[warc_files], config_schema=schema_of(ExtractConfig), **PER_GROUP)
@explained
def extracted_documents(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """The text of every page: main content, out of its HTML; what could not be read is counted with file and offset."""
    config = config_of(context, ExtractConfig)
    before = digests(home, "extracted_documents", context.partition_keys)
    watch = Stopwatch()
    jobs, num_bytes = {}, 0
    for partition in context.partition_keys:
        files = read_listing(home.artifact("warc_files", partition), home)
        fetch_missing(files)
        num_bytes += sum(file.size_bytes for file in files)
        target = home.target("extracted_documents", partition)
        jobs[partition] = ExtractJob(files, partition, target, content_digests(files))
    artifacts = extract_partitions(jobs, config, num_children=os.cpu_count() or 1, report=in_log(context))
    speed = throughput(artifacts, watch.seconds, before, num_bytes)
    return partition_results(context, artifacts, watch, _shown(home), speed)


@dg.asset(group_name="curation", deps=[extracted_documents], config_schema=schema_of(LanguageFilter), **PER_GROUP)
@explained
def language_documents(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Documents in the wanted languages."""
    return _judge(context, home, config_of(context, LanguageFilter), "extracted_documents", "language_documents")


@dg.asset(group_name="curation", deps=[language_documents], config_schema=schema_of(HeuristicFilter), **PER_GROUP)
@explained
def heuristic_documents(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Documents that pass the rules of Gopher, C4, FineWeb or RefinedWeb."""
    return _judge(context, home, config_of(context, HeuristicFilter), "language_documents", "heuristic_documents")


@dg.asset(group_name="curation", deps=[heuristic_documents], config_schema=schema_of(RepetitionFilter), **PER_GROUP)
@explained
def varied_documents(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Documents that do not repeat themselves."""
    return _judge(context, home, config_of(context, RepetitionFilter), "heuristic_documents", "varied_documents")


@dg.asset(
    group_name="curation",
    deps=[varied_documents, harmful_classifiers],
    config_schema=schema_of(HarmThresholds),
    **PER_GROUP,
)
@explained
def harmless_documents(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Documents that are neither insulting nor adult."""
    config = config_of(context, HarmThresholds)
    classifiers = home.artifact("harmful_classifiers")
    stages = {
        partition: harmful_filter(
            classifiers,
            config.toxic_threshold,
            config.adult_threshold,
            pages=[row["text"] for row in sample_documents(home.artifact("varied_documents", partition))],
            wanted_false_positive_rate=config.wanted_false_positive_rate,
        )
        for partition in context.partition_keys
    }
    return _judge(context, home, stages, "varied_documents", "harmless_documents")


@dg.asset(
    group_name="curation",
    deps=[harmless_documents, quality_classifier],
    config_schema=schema_of(QualityThreshold),
    **PER_GROUP,
)
@explained
def quality_documents(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Documents that the quality classifier finds worth learning from."""
    config = config_of(context, QualityThreshold)
    stage = quality_filter(home.artifact("quality_classifier"), config.threshold)
    return _judge(context, home, stage, "harmless_documents", "quality_documents")


@dg.asset(group_name="curation", deps=[quality_documents], config_schema=schema_of(PiiMasker), **PER_GROUP)
@explained
def masked_documents(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Documents with e-mail addresses, phone numbers and the like masked."""
    return _judge(context, home, config_of(context, PiiMasker), "quality_documents", "masked_documents")


ALL_GROUPS_MASKED = dg.AssetDep(masked_documents, partition_mapping=dg.AllPartitionMapping())
"""An asset of the whole corpus needs every group."""


@dataclass(frozen=True, kw_only=True)
class Deduplication:
    """Which groups make up the corpus, and which duplicates leave it."""

    partitions: Annotated[
        tuple[str, ...],
        Doc("Groups to take, as shell patterns over their keys, such as CC-MAIN-2024-22/*; each must be materialized."),
    ] = ("*",)
    search: Annotated[DeduplicationConfig, Doc("Which duplicates are looked for, and who of them stays.")] = field(
        default_factory=DeduplicationConfig
    )

    def __post_init__(self) -> None:
        settle(self, "deduplicated_documents")


@dg.asset(group_name="curation", deps=[ALL_GROUPS_MASKED], config_schema=schema_of(Deduplication))
@explained
def deduplicated_documents(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """The corpus: the documents of all chosen groups, each only once, without mirrors and near-duplicates."""
    config = config_of(context, Deduplication)
    sources = {
        key: home.artifact("masked_documents", key) for key in chosen_partitions(context.instance, config.partitions)
    }
    before = digests(home, "deduplicated_documents", [None])
    watch = Stopwatch()
    target = home.target("deduplicated_documents")
    artifact = deduplicate_partitions(
        sources, target, config.search, num_workers=_num_workers(sources.values()), report=in_log(context)
    )
    partitions = {"partitions": dg.MetadataValue.json(sorted(sources))}
    speed = throughput({None: artifact}, watch.seconds, before)
    return result(artifact, watch, {**stage_metadata(home, artifact, sorted(sources)), **partitions, **speed})


@dataclass(frozen=True, kw_only=True)
class EvaluationSources:
    """What the model will be measured on, and so must not learn by heart."""

    alignment_heldout: Annotated[
        bool, Doc("The held-out prompts of the alignment data, which the evaluation report measures on.")
    ] = True
    sets: Annotated[tuple[EvaluationSet, ...], Doc("Further evaluation sets, as JSON Lines files.")] = ()

    def __post_init__(self) -> None:
        settle(self, "evaluation_items")


@dg.asset(group_name="curation", deps=["alignment_data"], config_schema=schema_of(EvaluationSources))
@explained
def evaluation_items(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """The texts of all evaluation sets, for the corpus to be searched for."""
    watch = Stopwatch()
    config = config_of(context, EvaluationSources)
    sets = list(config.sets)
    if config.alignment_heldout:
        held_out = home.artifact("alignment_data")
        sets = [
            EvaluationSet(name=Path(name).stem, path=str(held_out.file(name)), fields=("prompt",), split="heldout")
            for name in sorted(held_out.files)
        ] + sets
    return result(publish_evaluation_items(sets, home.target("evaluation_items")), watch)


@dataclass(frozen=True, kw_only=True)
class AddedSources:
    """Collections of documents that join the crawl."""

    sources: Annotated[
        tuple[DocumentSource, ...],
        Doc("JSON Lines or Parquet files, each a source that the training mixture can weigh."),
    ] = ()

    def __post_init__(self) -> None:
        settle(self, "added_documents")


@dg.asset(group_name="curation", config_schema=schema_of(AddedSources))
@explained
def added_documents(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Documents of other collections than the crawl, by source; none unless configured."""
    watch = Stopwatch()
    sources = config_of(context, AddedSources).sources
    return result(publish_added_documents(sources, home.target("added_documents")), watch)


@dg.asset(
    group_name="curation",
    deps=[deduplicated_documents, added_documents, evaluation_items],
    config_schema=schema_of(DecontaminationConfig),
)
@explained
def decontaminated_documents(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """The corpus without what the model will be measured on."""
    source = home.artifact("deduplicated_documents")
    before = digests(home, "decontaminated_documents", [None])
    watch = Stopwatch()
    artifact = decontaminate_corpus(
        source,
        home.artifact("evaluation_items"),
        home.target("decontaminated_documents"),
        config_of(context, DecontaminationConfig),
        home.artifact("added_documents"),
    )
    shown = {
        **stage_metadata(home, artifact, sorted(source.inputs)),
        "matches": dg.MetadataValue.md(matches_table(first_matches(artifact))),
        "evaluation_items": plots.table(sets_of(artifact)),
    }
    return result(artifact, watch, {**shown, **throughput({None: artifact}, watch.seconds, before)})


@dg.asset(group_name="curation", deps=[decontaminated_documents])
@explained
def curation_report(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """What came to each step, what left it and why, with charts and samples: report.html, and report.md."""
    watch = Stopwatch()
    report = write_curation_report(steps_of(home.root), home.target("curation_report"))
    rows = json.loads(report.file(FUNNEL).read_text())
    shown = [{name: row[name] for name in _FUNNEL_COLUMNS} for row in rows]
    title = "Documents at each step"
    return result(
        report,
        watch,
        {
            "funnel": plots.svg(title, charts.funnel(title, rows)),
            "stages": plots.table(shown),
            "page": dg.MetadataValue.path(str(report.file(PAGE))),
            "report": dg.MetadataValue.md(report.file(MARKDOWN).read_text(encoding="utf-8")),
        },
    )


def _judge(
    context: dg.AssetExecutionContext, home: LoamHome, stage: Stage | Mapping[str, Stage], source: str, name: str
) -> dg.MaterializeResult[Any]:
    """Run one stage, or a stage for each, over the partitions of this run."""
    sources = {partition: home.artifact(source, partition) for partition in context.partition_keys}
    targets = {partition: home.target(name, partition) for partition in sources}
    before = digests(home, name, sources)
    watch = Stopwatch()
    artifacts = run_stage_partitions(
        stage, sources, targets, num_workers=_num_workers(sources.values()), report=in_log(context)
    )
    return partition_results(context, artifacts, watch, _shown(home), throughput(artifacts, watch.seconds, before))


def _num_workers(sources: Iterable[Artifact]) -> int:
    """Processes worth starting for these documents: a worker loads its libraries for a second or two first."""
    num_documents = sum(source.summary["num_kept"] for source in sources)
    return max(1, min(os.cpu_count() or 1, num_documents // _DOCUMENTS_A_WORKER))


def _shown(home: LoamHome) -> Callable[[str, Artifact], Metadata]:
    return lambda partition, artifact: stage_metadata(home, artifact, [partition])
