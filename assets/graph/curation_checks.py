"""Asset checks of the curation: exact accounts, and precision and recall against the built-in crawl's ground truth."""

# No `from __future__ import annotations` here: Dagster compares the context's annotation with its classes unresolved.
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from assets.automation.partitions import WARC_GROUPS
from assets.automation.presets import DEMO_CRAWL
from assets.graph import curation
from assets.support.resources import LoamHome
from lm.configuration import from_mapping
from lm.errors import AbsentError
from lm.storage import Artifact
from pipelines.decontamination.corpus import DecontaminationConfig, contaminated_documents
from pipelines.demo_crawl import scoring
from pipelines.demo_crawl.configuration import TRUTH
from pipelines.documents.view import count_documents, count_removals, read_removals, read_table

_NUM_SHOWN = 20
MIN_EXTRACTION_F1 = 0.9
MIN_PRECISION = 0.9
MIN_RECALL = 0.9
MIN_PII_RECALL = 0.95

Figures = Mapping[str, Any]


def _accounts_check(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    """Return the check of a partitioned stage: in = kept + removed + lost in every group, and no group is empty."""

    @dg.asset_check(asset=asset, name="accounts_are_exact", description="in = kept + removed + lost, in every group.")
    def accounts_are_exact(context: dg.AssetCheckExecutionContext, home: LoamHome) -> dg.AssetCheckResult:
        artifacts = dict(_published(context.instance, home, asset.key.to_user_string()))
        wrong = [key for key, artifact in artifacts.items() if not _adds_up(artifact)]
        totals = {
            name: sum(a.summary[name] for a in artifacts.values())
            for name in ("num_in", "num_kept", "num_removed", "num_lost")
        }
        return dg.AssetCheckResult(passed=bool(artifacts) and not wrong, metadata={**totals, "wrong": wrong})

    return accounts_are_exact


def _adds_up(artifact: Artifact) -> bool:
    """Return whether the counts of the summary agree with each other and with the rows of the tables."""
    counts = artifact.summary
    return bool(
        counts["num_in"] == counts["num_kept"] + counts["num_removed"] + counts["num_lost"]
        and count_documents(artifact) == counts["num_kept"]
        and count_removals(artifact) == counts["num_removed"]
    )


ACCOUNTS = [_accounts_check(asset) for asset in curation.PARTITIONED]


def _corpus_accounts_check(asset: dg.AssetsDefinition, *before: str) -> dg.AssetChecksDefinition:
    """Return the check of a corpus step: in = kept + removed + lost, and in equals the documents that `before` kept."""

    @dg.asset_check(asset=asset, name="accounts_are_exact", description="in = kept + removed + lost.")
    def accounts_are_exact(home: LoamHome) -> dg.AssetCheckResult:
        artifact = home.artifact(asset.key.to_user_string())
        counts = {name: artifact.summary[name] for name in ("num_in", "num_kept", "num_removed", "num_lost")}
        all_came = not before or counts["num_in"] == sum(home.artifact(name).summary["num_kept"] for name in before)
        return dg.AssetCheckResult(passed=_adds_up(artifact) and all_came, metadata=counts)

    return accounts_are_exact


CORPUS_ACCOUNTS = [
    _corpus_accounts_check(curation.unique_documents),
    _corpus_accounts_check(curation.added_documents),
    _corpus_accounts_check(curation.clean_documents, "unique_documents", "added_documents"),
]


@dg.asset_check(asset=curation.clean_documents, description="The corpus contains no searched evaluation item.")
def no_evaluation_item_is_left(home: LoamHome) -> dg.AssetCheckResult:
    """Searches the kept documents again."""
    artifact = home.artifact("clean_documents")
    config = {name: value for name, value in artifact.config.items() if name != "stage"}
    left = contaminated_documents(
        artifact, home.artifact("evaluation_items"), from_mapping(DecontaminationConfig, config)
    )
    found = artifact.summary["evaluation_sets"]
    return dg.AssetCheckResult(
        passed=not left,
        metadata={"num_left": len(left), "left": left[:_NUM_SHOWN], "evaluation_sets": found},
    )


@dg.asset_check(
    asset=curation.raw_documents,
    description=f"F1 of the text against the true bodies is at least {MIN_EXTRACTION_F1}.",
)
def text_is_the_body(context: dg.AssetCheckExecutionContext, home: LoamHome) -> dg.AssetCheckResult:
    """The extracted text is the page's body without navigation, advertisements and footers."""

    def judge(truth: pa.Table) -> tuple[bool, Figures]:
        documents = _documents(context.instance, home, "raw_documents")
        found = scoring.score_extraction(truth, documents)
        return found["f1"] >= MIN_EXTRACTION_F1, found

    return _against_truth(context, home, judge)


@dg.asset_check(asset=curation.raw_documents, description="Only damaged records are lost.")
def only_damaged_records_are_lost(context: dg.AssetCheckExecutionContext, home: LoamHome) -> dg.AssetCheckResult:
    """Deliberately damaged records are lost; every sound record is read."""

    def judge(truth: pa.Table) -> tuple[bool, Figures]:
        name = "raw_documents"
        read = [*_ids(_documents(context.instance, home, name)), *_ids(_removals(context.instance, home, name))]
        found = scoring.score_records(truth, read)
        return found["num_wrongly_lost"] == 0 and found["num_wrongly_kept"] == 0, found

    return _against_truth(context, home, judge)


@dg.asset_check(
    asset="language_documents",
    description=f"Precision and recall of removing other languages are at least {MIN_PRECISION}.",
)
def other_languages_are_removed(context: dg.AssetCheckExecutionContext, home: LoamHome) -> dg.AssetCheckResult:
    """Pages in other languages are removed, English pages are kept."""
    return _removal_check(context, home, "language_documents", scoring.is_foreign)


@dg.asset_check(
    asset="harmless_documents",
    description=f"Precision and recall of removing harmful pages are at least {MIN_PRECISION}.",
)
def harmful_pages_are_removed(context: dg.AssetCheckExecutionContext, home: LoamHome) -> dg.AssetCheckResult:
    """Toxic and adult pages are removed, other pages are kept."""
    return _removal_check(context, home, "harmless_documents", scoring.is_harmful)


@dg.asset_check(
    asset="quality_documents",
    description=f"At most {1 - MIN_RECALL:.0%} of low-quality pages pass heuristics and classifier together.",
)
def low_quality_is_removed(context: dg.AssetCheckExecutionContext, home: LoamHome) -> dg.AssetCheckResult:
    """Low-quality pages are removed by the quality classifier or an earlier rule; good pages are kept."""

    def judge(truth: pa.Table) -> tuple[bool, Figures]:
        stages = ("prose_documents", "varied_documents", "harmless_documents", "quality_documents")
        removed = [i for name in stages for i in _ids(_removals(context.instance, home, name))]
        kept = _ids(_documents(context.instance, home, "quality_documents"))

        def is_bad(row: Mapping[str, Any]) -> bool:
            return scoring.is_low_quality(row) or scoring.is_harmful(row)

        found = scoring.score_removed(truth, removed, kept, is_bad)
        return found["recall"] >= MIN_RECALL and found["precision"] >= MIN_PRECISION, found

    return _against_truth(context, home, judge)


@dg.asset_check(asset="masked_documents", description=f"At least {MIN_PII_RECALL:.0%} of personal data is masked.")
def personal_data_is_masked(context: dg.AssetCheckExecutionContext, home: LoamHome) -> dg.AssetCheckResult:
    """E-mail addresses, phone numbers and other personal data are masked."""

    def judge(truth: pa.Table) -> tuple[bool, Figures]:
        found = scoring.score_pii(truth, _documents(context.instance, home, "masked_documents"))
        return found["recall"] >= MIN_PII_RECALL, found

    return _against_truth(context, home, judge)


@dg.asset_check(
    asset=curation.unique_documents,
    description=f"Recall of near-duplicate pairs is at least {MIN_RECALL}, precision {MIN_PRECISION}.",
)
def duplicates_are_found(context: dg.AssetCheckExecutionContext, home: LoamHome) -> dg.AssetCheckResult:
    """Mirrors and near-duplicates of the built-in crawl are removed; other pages are kept."""

    def judge(truth: pa.Table) -> tuple[bool, Figures]:
        artifact = home.artifact("unique_documents")
        removals = read_removals(artifact).to_pylist()
        kept = _ids(read_table(artifact, ["doc_id"]))
        found = scoring.score_duplicates(truth, kept, {row["doc_id"]: row["duplicate_of"] for row in removals})
        return found["precision"] >= MIN_PRECISION and found["recall"] >= MIN_RECALL, found

    return _against_truth(context, home, judge)


def _removal_check(
    context: dg.AssetCheckExecutionContext, home: LoamHome, name: str, is_bad: Callable[[Any], bool]
) -> dg.AssetCheckResult:
    def judge(truth: pa.Table) -> tuple[bool, Figures]:
        removed, kept = _removals(context.instance, home, name), _documents(context.instance, home, name)
        found = scoring.score_removed(truth, _ids(removed), _ids(kept), is_bad)
        return found["precision"] >= MIN_PRECISION and found["recall"] >= MIN_RECALL, found

    return _against_truth(context, home, judge)


def _against_truth(
    context: dg.AssetCheckExecutionContext, home: LoamHome, judge: Callable[[pa.Table], tuple[bool, Figures]]
) -> dg.AssetCheckResult:
    """Return the check's result for the built-in crawl; without its ground truth, the result is "not measured"."""
    try:
        truth = pq.read_table(home.artifact("demo_crawl").file(TRUTH))
        passed, figures = judge(truth)
    except AbsentError as error:
        return dg.AssetCheckResult(
            passed=True,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"not measured: no ground truth for these groups ({error})",
        )
    return dg.AssetCheckResult(passed=passed, metadata=dict(figures))


def _published(
    instance: dg.DagsterInstance, home: LoamHome, name: str, crawl: str | None = None
) -> Iterator[tuple[str, Artifact]]:
    """Return the artifacts of asset `name` by group, of one crawl or of all."""
    for key in sorted(instance.get_dynamic_partitions(str(WARC_GROUPS.name))):
        if crawl is None or key.startswith(f"{crawl}/"):
            try:
                yield key, home.artifact(name, key)
            except AbsentError:
                continue  # not materialized yet


def _of_demo(instance: dg.DagsterInstance, home: LoamHome, name: str, read: Callable[[Artifact], pa.Table]) -> pa.Table:
    artifacts = [artifact for _, artifact in _published(instance, home, name, DEMO_CRAWL)]
    if not artifacts:
        raise AbsentError(f"no group of crawl '{DEMO_CRAWL}' has {name}")
    return pa.concat_tables([read(artifact) for artifact in artifacts])


def _documents(instance: dg.DagsterInstance, home: LoamHome, name: str) -> pa.Table:
    return _of_demo(instance, home, name, read_table)


def _removals(instance: dg.DagsterInstance, home: LoamHome, name: str) -> pa.Table:
    return _of_demo(instance, home, name, read_removals)


def _ids(table: pa.Table) -> list[str]:
    return [str(doc_id) for doc_id in table.column("doc_id").to_pylist()]
