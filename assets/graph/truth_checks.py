"""Checks against the built-in crawl's ground truth: for its own groups, file by file the same; no other is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.support.checks import Check, Found, Made, not_measured
from lm.errors import AbsentError
from lm.storage import Artifact, find_artifact
from pipelines.curation.steps import JUDGING, LAST_OF_PARTITION
from pipelines.demo_crawl import scoring
from pipelines.demo_crawl.configuration import TRUTH
from pipelines.documents.view import chain, read_removals, read_table
from pipelines.paths import DEMO_CRAWL, parse_partition
from pipelines.sources.built_in_crawl import built_in_files

MIN_EXTRACTION_F1 = 0.9
MIN_PRECISION = 0.9
MIN_RECALL = 0.9
MIN_PII_RECALL = 0.95

Figures = Mapping[str, Any]
Judge = Callable[[pa.Table, Made], Found]


def _check(name: str, description: str, judge: Judge) -> Check:
    def look(made: Made) -> Found:
        truth = truth_of(made)
        return truth if isinstance(truth, Found) else judge(truth, made)

    return Check(name=name, description=description, look=look)


def truth_of(made: Made) -> pa.Table | Found:
    """Return the rows of the truth for the files that an artifact was made of; a result "not measured" where they are
    not the built-in crawl's.

    A group of the built-in crawl's name with other files is a failure: a file was cut, or the crawl was made anew.
    """
    groups = [made.group] if made.group is not None else sorted(made.artifact.inputs)
    others = sorted({crawl for crawl, _ in map(parse_partition, groups)} - {DEMO_CRAWL})
    if others:
        return not_measured(f"there is no ground truth for the crawl {', '.join(others)}")
    crawl = find_artifact(made.home.target("demo_crawl"))
    if crawl is None:
        return not_measured("the built-in crawl is not materialized")
    known = built_in_files(made.home.root)
    names = []
    for group in groups:
        try:
            own = made.artifact if made.group else made.home.artifact(LAST_OF_PARTITION.artifact, group)
        except AbsentError:
            return not_measured(f"{group} no longer exists", passed=False)
        for name, sha256 in chain(own)[0].inputs.items():
            names.append(name.rpartition("/")[2])
            if known.get(names[-1]) != sha256:
                return not_measured(
                    f"{group} was made from a {names[-1]} that differs from the built-in crawl's; materialize the "
                    "group again, starting at warc_files",
                    passed=False,
                )
    truth = pq.read_table(crawl.file(TRUTH))
    return truth.filter(pc.is_in(truth.column("warc_file"), value_set=pa.array(names, pa.string())))


def _rates(found: Figures, what: str, minimum: float = MIN_RECALL) -> Found:
    passed = found["precision"] >= MIN_PRECISION and found["recall"] >= minimum
    return Found(passed, f"{what}: precision {found['precision']:.3f}, recall {found['recall']:.3f}", found)


def _body(truth: pa.Table, made: Made) -> Found:
    found = scoring.score_extraction(truth, read_table(made.artifact, ["doc_id", "text"]))
    return Found(found["f1"] >= MIN_EXTRACTION_F1, f"F1 {found['f1']:.3f} of {found['num_documents']:,} texts", found)


def _records(truth: pa.Table, made: Made) -> Found:
    read = [*ids(read_table(made.artifact, ["doc_id"])), *ids(read_removals(made.artifact))]
    found = scoring.score_records(truth, read)
    wrong = found["num_wrongly_lost"] + found["num_wrongly_kept"]
    said = f"{found['num_lost']:,} of {found['num_records']:,} records lost, {found['num_damaged']:,} are damaged"
    return Found(wrong == 0, said, found)


def _removal(is_bad: Callable[[Any], bool], what: str) -> Judge:
    def judge(truth: pa.Table, made: Made) -> Found:
        removed, kept = ids(read_removals(made.artifact)), ids(read_table(made.artifact, ["doc_id"]))
        return _rates(scoring.score_removed(truth, removed, kept, is_bad), what)

    return judge


def _low_quality(truth: pa.Table, made: Made) -> Found:
    """Measure heuristics, repetition, harm and quality together: bad pages may leave by any of them."""
    removed = [doc_id for artifact in _since_language(made) for doc_id in ids(read_removals(artifact))]

    def is_bad(row: Mapping[str, Any]) -> bool:
        return scoring.is_low_quality(row) or scoring.is_harmful(row)

    kept = ids(read_table(made.artifact, ["doc_id"]))
    return _rates(scoring.score_removed(truth, removed, kept, is_bad), "low-quality and harmful pages")


def _since_language(made: Made) -> Sequence[Artifact]:
    stages = [step.artifact for step in JUDGING]
    names = stages[stages.index("language_documents") + 1 : stages.index("quality_documents")]
    return [*(made.home.artifact(name, made.group) for name in names), made.artifact]


def _personal_data(truth: pa.Table, made: Made) -> Found:
    found = scoring.score_pii(truth, read_table(made.artifact, ["doc_id", "text"]))
    said = f"{found['recall']:.1%} of {found['num_data']:,} pieces of personal data masked"
    return Found(found["recall"] >= MIN_PII_RECALL, said, found)


def _duplicates(truth: pa.Table, made: Made) -> Found:
    removals = read_removals(made.artifact).to_pylist()
    kept = ids(read_table(made.artifact, ["doc_id"]))
    duplicate_of = {row["doc_id"]: row["duplicate_of"] for row in removals if row["duplicate_of"] is not None}
    return _rates(scoring.score_duplicates(truth, kept, duplicate_of), "pairs of near-duplicates")


def ids(table: pa.Table) -> list[str]:
    """Return the ids of a table's documents."""
    return [str(doc_id) for doc_id in table.column("doc_id").to_pylist()]


TRUTH_CHECKS: dict[str, tuple[Check, ...]] = {
    "raw_documents": (
        _check("text_is_the_body", f"F1 of the text against the true bodies is at least {MIN_EXTRACTION_F1}.", _body),
        _check(
            "only_damaged_records_are_lost", "All damaged records are lost, and all intact records are read.", _records
        ),
    ),
    "language_documents": (
        _check(
            "other_languages_are_removed",
            f"Precision and recall of removing other languages are at least {MIN_PRECISION}.",
            _removal(scoring.is_foreign, "pages in other languages"),
        ),
    ),
    "harmless_documents": (
        _check(
            "harmful_pages_are_removed",
            f"Precision and recall of removing harmful pages are at least {MIN_PRECISION}.",
            _removal(scoring.is_harmful, "harmful pages"),
        ),
    ),
    "quality_documents": (
        _check(
            "low_quality_is_removed",
            f"At most {1 - MIN_RECALL:.0%} of low-quality pages pass heuristics and classifier together.",
            _low_quality,
        ),
    ),
    "masked_documents": (
        _check("personal_data_is_masked", f"At least {MIN_PII_RECALL:.0%} of personal data is masked.", _personal_data),
    ),
    "unique_documents": (
        _check(
            "duplicates_are_found",
            f"Recall of near-duplicate pairs is at least {MIN_RECALL}, precision {MIN_PRECISION}.",
            _duplicates,
        ),
    ),
}
"""The checks against the truth, by asset."""
