"""The facts of one step as plain values: accounts, removals by rule, score distributions and samples, for the report
and for the metadata of assets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lm.storage import Artifact
from pipelines.curation.funnel import funnel
from pipelines.documents.schema import DOCUMENT_SCHEMA
from pipelines.documents.view import read_documents, read_removals, read_schema
from pipelines.report.samples import Sample, kept_samples, removed_samples

NUM_BINS = 40
_SCORE, _COUNT, _LANGUAGE = "_score", "num_", "language"
_MOST_SAMPLED = 4
"""Number of groups from which samples are drawn; counts cover all groups."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Histogram:
    """Kept documents, and documents removed by a score, in `NUM_BINS` bins of the score from 0 to 1."""

    score: str
    kept: Sequence[int]
    removed: Sequence[int]
    threshold: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageShare:
    """Documents of one language at a step: their number and the kept share. For a step with thresholds by language,
    also the lowest threshold in a group.
    """

    language: str
    num_in: int
    kept_share: float
    threshold: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StageFacts:
    """One step over some groups. `row` is its row of the funnel; `shares` the share of all that came in by rule or
    reason, the largest first; `totals` the sums of what the step counted in each document, such as masks by kind;
    `languages` what it kept of each language, where the documents came with one, the most frequent first."""

    row: Mapping[str, Any]
    shares: Mapping[str, float]
    totals: Mapping[str, int]
    languages: Sequence[LanguageShare]
    histograms: Sequence[Histogram]
    kept: Sequence[Sample]
    removed: Sequence[Sample]


def stage_facts(
    artifacts: Sequence[Artifact], sources: Sequence[Artifact], elided: Set[str] = frozenset()
) -> StageFacts:
    """Return the facts of one step's `artifacts`, made from the `sources` of the step before (none of extraction).

    `elided` are documents whose text is not to be shown.
    """
    known = set(read_schema(sources[0]).names) if sources else set(DOCUMENT_SCHEMA.names)
    (row,) = funnel(artifacts)
    gone = {**row["removed_by_rule"], **row["lost_by_reason"]}
    ordered = sorted(gone.items(), key=lambda item: (-item[1], item[0]))
    sampled = artifacts[:_MOST_SAMPLED]
    return StageFacts(
        row=row,
        shares={rule: count / max(1, row["num_in"]) for rule, count in ordered},
        totals=_totals(artifacts, known),
        languages=_languages(artifacts, sources) if _LANGUAGE in known else (),
        histograms=_histograms(artifacts, known),
        kept=kept_samples(sampled, known, elided),
        removed=removed_samples(sampled, sources[:_MOST_SAMPLED] if len(artifacts) > 1 else sources, elided),
    )


def _languages(artifacts: Sequence[Artifact], sources: Sequence[Artifact]) -> list[LanguageShare]:
    """Return the kept share of each language."""
    came, stayed = (
        Counter(name for each in tables for batch in read_documents(each, [_LANGUAGE]) for name in _names(batch))
        for tables in (sources, artifacts)
    )
    thresholds = [each.config.get("language_thresholds", {}) for each in artifacts]
    return [
        LanguageShare(
            language=name,
            num_in=number,
            kept_share=stayed[name] / number,
            threshold=min((each[name] for each in thresholds if name in each), default=None),
        )
        for name, number in sorted(came.items(), key=lambda item: (-item[1], item[0]))
    ]


def _names(batch: pa.RecordBatch) -> list[str]:
    return [str(name) for name in batch.column(_LANGUAGE).to_pylist()]


def _totals(artifacts: Sequence[Artifact], known: Set[str]) -> dict[str, int]:
    """Return the sums of the counting columns that the step added, the largest first; none of those that counted
    nothing.
    """
    names = [name for name in read_schema(artifacts[0]).names if name.startswith(_COUNT) and name not in known]
    sums = dict.fromkeys(names, 0)
    for artifact in artifacts:
        for batch in read_documents(artifact, names) if names else ():
            for name in names:
                sums[name] += int(pc.sum(batch.column(name)).as_py() or 0)
    return dict(sorted(((name, count) for name, count in sums.items() if count), key=lambda item: (-item[1], item[0])))


def _histograms(artifacts: Sequence[Artifact], known: Set[str]) -> list[Histogram]:
    """Return one of every score that the step added, and of the similarity by which duplicates left."""
    names = [name for name in read_schema(artifacts[0]).names if name.endswith(_SCORE) and name not in known]
    removals = [read_removals(each).select(["rule", "value"]).to_pylist() for each in artifacts]
    rows = [row for each in removals for row in each if row["value"] is not None]
    config = artifacts[0].config
    found = [
        Histogram(
            score=name,
            kept=_binned(
                batch.column(name).to_numpy(zero_copy_only=False)
                for artifact in artifacts
                for batch in read_documents(artifact, [name])
            ),
            removed=_binned([np.array([row["value"] for row in rows if _is_by(row["rule"], name)], np.float64)]),
            threshold=config.get(name.replace(_SCORE, "_threshold"), config.get("threshold")),
        )
        for name in names
    ]
    alike = [row["value"] for row in rows if row["rule"] == "near_duplicate"]
    if alike:
        threshold = config.get("minhash", {}).get("jaccard_threshold")
        binned = _binned([np.array(alike, np.float64)])
        found.append(Histogram(score="jaccard", kept=[0] * NUM_BINS, removed=binned, threshold=threshold))
    return found


def _is_by(rule: str, score: str) -> bool:
    """Return whether a rule removes by this score: `toxic` by `toxic_score`, `language_de` by `language_score`."""
    kind = score.removesuffix(_SCORE)
    return rule == kind or rule.startswith(f"{kind}_")


def _binned(parts: Any) -> list[int]:
    counts = np.zeros(NUM_BINS, np.int64)
    for values in parts:
        clear = np.clip(values[~np.isnan(values.astype(np.float64))], 0, 1)
        counts += np.histogram(clear, bins=NUM_BINS, range=(0, 1))[0]
    return [int(count) for count in counts]
