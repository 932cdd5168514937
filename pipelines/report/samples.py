"""Samples of a step: ten kept and ten removed documents. A hash chooses them, so equal corpora show equal samples and
steps show different ones. Removed documents come from all rules in turn, the most frequent rule first.

Decisions: an excerpt is the beginning of the text on one line, personal data masked. Documents that the harmful-text
step removed are measured but not shown. For steps before it, `elided` names documents to hide in the same way.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from lm.storage import Artifact
from pipelines.documents.schema import DOCUMENT_SCHEMA, MEASURED
from pipelines.documents.view import read_documents, read_removals, read_schema
from pipelines.filters.pii import mask_all

NUM_SAMPLES = 10
EXCERPT_CHARACTERS = 240
HARMFUL_STAGE = "harmful"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One sampled document: identity, reason of its verdict, and the beginning of its text."""

    doc_id: str
    url: str
    reason: str
    excerpt: str


def kept_samples(artifacts: Sequence[Artifact], known: Set[str], elided: Set[str] = frozenset()) -> list[Sample]:
    """Return documents that a step kept, with their length and the columns that the step added; `known` are the columns
    of the step before.
    """
    stage = str(artifacts[0].summary["stage"])
    ids = heapq.nsmallest(
        NUM_SAMPLES,
        (doc_id for artifact in artifacts for doc_id in _ids(artifact)),
        key=lambda doc_id: _draw(stage, doc_id),
    )
    added = [
        name
        for name in read_schema(artifacts[0]).names
        if name not in known and name not in DOCUMENT_SCHEMA.names and not name.startswith(MEASURED)
    ]
    rows = {row["doc_id"]: row for row in _rows(artifacts, set(ids), ["doc_id", "url", "text", *added])}
    return [
        Sample(
            doc_id=doc_id,
            url=rows[doc_id]["url"],
            reason=", ".join(
                [
                    f"{len(rows[doc_id]['text']):,} characters",
                    *(f"{name} {_figure(rows[doc_id][name])}" for name in added),
                ]
            ),
            excerpt=_excerpt(rows[doc_id]["text"], doc_id in elided),
        )
        for doc_id in ids
    ]


def removed_samples(
    artifacts: Sequence[Artifact], sources: Sequence[Artifact], elided: Set[str] = frozenset()
) -> list[Sample]:
    """Return documents that a step removed, each with its rule; the texts are in `sources`, the artifacts of the step
    before.

    Where these do not hold the text (nothing precedes extraction), the excerpt is what the removal says of the page's
    own words, if anything.
    """
    stage = str(artifacts[0].summary["stage"])
    removals = [row for artifact in artifacts for row in read_removals(artifact).to_pylist()]
    chosen = list(_in_turn(stage, removals))[:NUM_SAMPLES]
    texts = {
        row["doc_id"]: row["text"] for row in _rows(sources, {row["doc_id"] for row in chosen}, ["doc_id", "text"])
    }
    return [
        Sample(
            doc_id=row["doc_id"],
            url=row["url"],
            reason=reason_of(row),
            excerpt=_excerpt(
                texts.get(row["doc_id"], row.get("words") or ""), stage == HARMFUL_STAGE or row["doc_id"] in elided
            ),
        )
        for row in chosen
    ]


def reason_of(removal: Mapping[str, Any]) -> str:
    """Return the rule, the measured value and the threshold."""
    said = str(removal["rule"])
    if removal["value"] is not None:
        said += f" {_figure(removal['value'])}"
    if removal["threshold"] is not None:
        said += f" (threshold {_figure(removal['threshold'])})"
    if removal["duplicate_of"] is not None:
        said += f", duplicate of {removal['duplicate_of']}"
    return said


def markdown_table(samples: Sequence[Sample], reason: str) -> str:
    """Return the samples as a Markdown table; `reason` heads the middle column."""
    lines = [f"| page | {reason} | text |", "|---|---|---|"]
    lines += [f"| {code_cell(each.url)} | {cell(each.reason)} | {cell(each.excerpt)} |" for each in samples]
    return "\n".join(lines) + "\n"


def _ids(artifact: Artifact) -> Iterator[str]:
    for batch in read_documents(artifact, ["doc_id"]):
        yield from batch.column("doc_id").to_pylist()


def _rows(artifacts: Iterable[Artifact], wanted: Set[str], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of the wanted documents, read batch by batch, no further than needed."""
    missing = set(wanted)
    for artifact in artifacts:
        if missing:
            for batch in read_documents(artifact, columns):
                places = [place for place, each in enumerate(batch.column("doc_id").to_pylist()) if each in missing]
                for place in places:
                    row: dict[str, Any] = batch.slice(place, 1).to_pylist()[0]
                    missing.discard(row["doc_id"])
                    yield row


def _in_turn(stage: str, removals: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield one removal of each rule, then a second of each, and so on."""
    by_rule: dict[str, list[Mapping[str, Any]]] = {}
    for row in removals:
        by_rule.setdefault(row["rule"], []).append(row)
    piles = [
        heapq.nsmallest(NUM_SAMPLES, rows, key=lambda row: _draw(stage, row["doc_id"]))
        for _, rows in sorted(by_rule.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    for turn in range(NUM_SAMPLES):
        yield from (pile[turn] for pile in piles if turn < len(pile))


def _draw(stage: str, doc_id: str) -> bytes:
    return hashlib.blake2b(f"{stage}:{doc_id}".encode(), digest_size=8).digest()


def _excerpt(text: str, is_elided: bool) -> str:
    if is_elided:
        return f"[harmful: {len(text):,} characters not shown]"
    begins = " ".join(text[: 2 * EXCERPT_CHARACTERS].split())
    masked, _ = mask_all(begins)
    return masked if len(masked) <= EXCERPT_CHARACTERS else masked[:EXCERPT_CHARACTERS].rstrip() + "…"


def cell(text: str) -> str:
    """Return text as one cell of a Markdown table, with all markup escaped."""
    for mark in "\\`*_[]|~":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code_cell(url: str) -> str:
    """Return an address as code, so that no viewer makes it a link: it may lead to a removed page."""
    return f"`{' '.join(url.split()).replace('`', '%60').replace('|', '%7C')}`"


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
