"""The composition of the corpus: documents of the crawl and added ones, counted apart, and both by language.

Added documents join after deduplication. A share of the crawl that stayed counts crawled documents alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lm.storage import Artifact
from pipelines.curation.steps import DECONTAMINATION, DEDUPLICATION, EXTRACTION
from pipelines.documents.view import read_documents, read_schema
from pipelines.paths import parse_partition


@dataclass(frozen=True, kw_only=True, slots=True)
class Composition:
    """Counts of documents: `crawled` and `added` ones, as they came to decontamination and as they stayed."""

    records: int
    crawled_in: int
    crawled_kept: int
    added_in: int
    added_kept: int
    kept_by_source: Mapping[str, int]
    """Documents of the corpus by crawl or added source, the most first."""
    languages: Mapping[str, Mapping[str, int]]
    """Documents by language (an added document has none), then by step: as they came, and `kept` at the end."""

    @property
    def crawled_share(self) -> float:
        """The share of the records read whose documents stayed."""
        return self.crawled_kept / max(1, self.records)

    @property
    def sentence(self) -> str:
        """The documents that came to decontamination, in words."""
        if not self.added_in:
            return f"{self.crawled_in:,} crawled documents entered decontamination; there were no added documents."
        return (
            f"After deduplication, {self.crawled_in:,} crawled and {self.added_in:,} added documents entered "
            f"decontamination; {self.crawled_kept:,} and {self.added_kept:,} were kept. Added documents were neither "
            "filtered nor compared with the crawl."
        )


def composition(steps: Mapping[str, Sequence[Artifact]]) -> Composition | None:
    """Return the composition of the corpus, from the artifacts of all steps; None where the corpus is not made yet."""
    if DECONTAMINATION.stage not in steps or DEDUPLICATION.stage not in steps:
        return None
    (corpus,), (unique,) = steps[DECONTAMINATION.stage], steps[DEDUPLICATION.stage]
    crawls = {parse_partition(group)[0] for group in unique.inputs}
    sources = Counter(_names(corpus, "crawl"))
    crawled = sum(number for source, number in sources.items() if source in crawls)
    came = int(unique.summary["num_kept"])
    return Composition(
        records=sum(int(each.summary["num_in"]) for each in steps.get(EXTRACTION.stage, ())),
        crawled_in=came,
        crawled_kept=crawled,
        added_in=int(corpus.summary["num_in"]) - came,
        added_kept=sources.total() - crawled,
        kept_by_source=dict(sorted(sources.items(), key=lambda item: (-item[1], item[0]))),
        languages=_languages(steps, corpus),
    )


def _languages(steps: Mapping[str, Sequence[Artifact]], corpus: Artifact) -> dict[str, dict[str, int]]:
    """Return the documents that came to each step, by language, and those of the corpus; the most frequent first."""
    found: dict[str, Counter[str]] = {}
    before: Sequence[Artifact] = ()
    for stage, artifacts in steps.items():
        if before and "language" in read_schema(before[0]).names:
            found[stage] = Counter(name for each in before for name in _names(each, "language"))
        before = artifacts
    found["kept"] = Counter(_names(corpus, "language"))
    names = Counter[str]()
    for counts in found.values():
        names |= counts
    return {
        name: {stage: counts[name] for stage, counts in found.items()}
        for name, _ in sorted(names.items(), key=lambda item: (-item[1], item[0]))
    }


def _names(artifact: Artifact, column: str) -> list[str]:
    if column not in read_schema(artifact).names:
        return []
    values = (value for batch in read_documents(artifact, [column]) for value in batch.column(column).to_pylist())
    return [str(value) for value in values if value is not None]


def unjudged_steps(steps: Mapping[str, Sequence[Artifact]]) -> list[str]:
    """Return the steps that kept every document of a group because they were told not to judge."""
    return [
        stage
        for stage, artifacts in steps.items()
        if any(each.config.get("settings", {}).get("judge") == "none" for each in artifacts)
    ]
