"""Scores of a pipeline against the ground truth of the demo crawl: precision and recall of each stage.

Every function is pure: tables in, a dictionary of numbers out. `truth` is `truth.parquet`; documents are tables with
`doc_id` and the columns named below. Documents that are missing in the truth raise KeyError.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeAlias

import pyarrow as pa

from pipelines.demo_crawl.overlap import jaccard, shingles
from pipelines.demo_crawl.plan import LOSING_DAMAGE

Row: TypeAlias = Mapping[str, Any]

EXTRACTION_SHINGLE_TOKENS = 4
PII_KINDS = ("email", "phone", "ip", "address")
"""Kinds of personal data in the truth."""

_TOKEN = re.compile(r"\w+")
_MASK = re.compile(r"\|\|\|[A-Z_]+\|\|\|")


def is_low_quality(row: Row) -> bool:
    """Return whether a quality filter should remove the page."""
    return bool(row["quality"] == "low")


def is_harmful(row: Row) -> bool:
    """Return whether a harmful-text filter should remove the page."""
    return bool(row["harmful"])


def is_foreign(row: Row) -> bool:
    """Return whether a filter for English should remove the page."""
    return bool(row["language"] != "en")


def score_records(truth: pa.Table, doc_ids: Iterable[str]) -> dict[str, int]:
    """Return the scores of reading damaged records, from the ids of the records that were read.

    `num_wrongly_lost` counts sound records that are missing, `num_wrongly_kept` damaged ones that were taken for sound.
    """
    rows, read = _by_id(truth), set(doc_ids)
    damaged = {doc_id for doc_id, row in rows.items() if row["damage"] in LOSING_DAMAGE}
    return {
        "num_records": len(rows),
        "num_damaged": len(damaged),
        "num_lost": len(rows) - len(read & rows.keys()),
        "num_wrongly_lost": len(rows.keys() - damaged - read),
        "num_wrongly_kept": len(damaged & read),
    }


def score_extraction(truth: pa.Table, documents: pa.Table) -> dict[str, float]:
    """Return the mean precision, recall and F1 of the extracted `text` as bags of runs of four tokens, over all
    documents.

    As in the article extraction benchmark of Zyte, precision is the share of the text's runs that the body has,
    recall the share of the body's runs that the text has; F1 is of the two means.
    """
    rows = _by_id(truth)
    found = [
        _overlap(text, rows[doc_id]["body_text"])
        for doc_id, text in zip(_column(documents, "doc_id"), _column(documents, "text"), strict=True)
    ]
    precision, recall = (_mean([each[side] for each in found]) for side in (0, 1))
    return {"num_documents": len(found), **_with_f1(precision, recall)}


def score_removed(
    truth: pa.Table, removed: Iterable[str], kept: Iterable[str], is_bad: Callable[[Row], bool]
) -> dict[str, float]:
    """Return a filter's scores: `precision` is the share of bad documents among the removed, `recall` the share of
    removed documents among the bad.

    `is_bad` takes a row of the truth, such as `is_harmful`. Where nothing was removed, precision is 1.
    """
    rows = _by_id(truth)
    removed_bad = [is_bad(rows[doc_id]) for doc_id in removed]
    kept_bad = [is_bad(rows[doc_id]) for doc_id in kept]
    num_bad = sum(removed_bad) + sum(kept_bad)
    scores = _with_f1(_share(sum(removed_bad), len(removed_bad)), _share(sum(removed_bad), num_bad))
    return {**scores, "num_removed": len(removed_bad), "num_bad": num_bad}


def score_pii(truth: pa.Table, masked: pa.Table, kinds: Sequence[str] = PII_KINDS) -> dict[str, Any]:
    """Return `recall`: the share of personal data of these kinds that is absent from the masked `text`;
    `num_false_masks`: masks beyond the data masked.

    What extraction lost counts as masked, since it is not in the text either.
    """
    rows = _by_id(truth)
    asked, gone, false_masks = Counter[str](), Counter[str](), 0
    for doc_id, text in zip(_column(masked, "doc_id"), _column(masked, "text"), strict=True):
        data = [datum for datum in rows[doc_id]["pii"] if datum["kind"] in kinds]
        masked_here = [datum["kind"] for datum in data if datum["text"] not in text]
        asked.update(datum["kind"] for datum in data)
        gone.update(masked_here)
        false_masks += max(0, len(_MASK.findall(text)) - len(masked_here))
    return {
        "num_data": asked.total(),
        "recall": _share(gone.total(), asked.total()),
        "recall_by_kind": {kind: _share(gone[kind], asked[kind]) for kind in kinds},
        "num_false_masks": false_masks,
    }


def score_duplicates(
    truth: pa.Table, kept: Iterable[str], duplicate_of: Mapping[str, str], threshold: float = 0.8
) -> dict[str, float]:
    """Return the scores of near-duplicate pairs with a similarity of at least `threshold` between the true bodies.

    `duplicate_of` maps each removed document to the one it repeats. Precision is the share of these pairs that are
    copies of one original, or as similar as that; recall, of all pairs of copies that similar whose documents were
    seen, the share that the removals join, directly or through others. Similarity is computed from `body_text`.
    """
    rows = _by_id(truth)
    seen = {*kept, *duplicate_of, *duplicate_of.values()}
    sets = {doc_id: shingles(rows[doc_id]["body_text"]) for doc_id in _in_clusters(rows, seen) | _ends(duplicate_of)}
    clusters = {doc_id: rows[doc_id]["duplicate_cluster"] or doc_id for doc_id in sets}
    predicted_right = sum(
        clusters[removed] == clusters[winner] or jaccard(sets[removed], sets[winner]) >= threshold
        for removed, winner in duplicate_of.items()
    )
    true_pairs = [pair for pair in _cluster_pairs(rows, seen) if jaccard(sets[pair[0]], sets[pair[1]]) >= threshold]
    root = _joined(duplicate_of)
    joined = sum(root.get(first, first) == root.get(second, second) for first, second in true_pairs)
    scores = _with_f1(_share(predicted_right, len(duplicate_of)), _share(joined, len(true_pairs)))
    return {**scores, "num_true_pairs": len(true_pairs), "num_predicted_pairs": len(duplicate_of)}


def _overlap(text: str, body: str) -> tuple[float, float]:
    """Return precision and recall of the runs of tokens of `text` against those of `body`, as bags."""
    found, true = _runs(text), _runs(body)
    common = (found & true).total()
    return _share(common, found.total()), _share(common, true.total())


def _runs(text: str) -> Counter[tuple[str, ...]]:
    """Return the runs of four tokens; a shorter text is one run of all it has."""
    tokens = _TOKEN.findall(text)
    if 0 < len(tokens) < EXTRACTION_SHINGLE_TOKENS:
        return Counter([tuple(tokens)])
    return Counter(zip(*(tokens[start:] for start in range(EXTRACTION_SHINGLE_TOKENS)), strict=False))


def _in_clusters(rows: Mapping[str, Row], seen: set[str]) -> set[str]:
    return {doc_id for doc_id in seen if rows[doc_id]["duplicate_cluster"] is not None}


def _ends(duplicate_of: Mapping[str, str]) -> set[str]:
    return {*duplicate_of, *duplicate_of.values()}


def _cluster_pairs(rows: Mapping[str, Row], seen: set[str]) -> list[tuple[str, str]]:
    """Return every pair of one cluster that was seen."""
    clusters = defaultdict(list)
    for doc_id in sorted(_in_clusters(rows, seen)):
        clusters[rows[doc_id]["duplicate_cluster"]].append(doc_id)
    return [pair for members in clusters.values() for pair in combinations(members, 2)]


def _joined(duplicate_of: Mapping[str, str]) -> dict[str, str]:
    """Map each document to the representative of its group, where a removal joins two documents into one."""
    root: dict[str, str] = {}

    def find(doc_id: str) -> str:
        while (above := root.setdefault(doc_id, doc_id)) != doc_id:
            root[doc_id] = root.setdefault(above, above)
            doc_id = above
        return doc_id

    for removed, winner in duplicate_of.items():
        root[find(removed)] = find(winner)
    return {doc_id: find(doc_id) for doc_id in list(root)}


def _by_id(truth: pa.Table) -> dict[str, Row]:
    return {row["doc_id"]: row for row in truth.to_pylist()}


def _column(table: pa.Table, name: str) -> list[Any]:
    return list(table.column(name).to_pylist())


def _share(part: float, whole: float) -> float:
    """Return `part / whole`, and 1 of nothing: no mistake was made."""
    return part / whole if whole else 1.0


def _mean(values: Sequence[float]) -> float:
    return _share(sum(values), len(values))


def _with_f1(precision: float, recall: float) -> dict[str, float]:
    total = precision + recall
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / total if total else 0.0}
