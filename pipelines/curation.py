"""The refinery in one list: from WARC records to documents worth learning from.

Each step is an artifact made from the one before. The first ones work partition by partition; from deduplication on,
all partitions are one corpus, since a duplicate may lie anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lm.storage import Artifact
from pipelines.dedup.corpus import DeduplicationConfig, deduplicate_partitions

if TYPE_CHECKING:
    pass

__all__ = [
    "CORPUS", "CURATION", "DeduplicationConfig", "Step", "deduplicate_partitions", "funnel",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of the refinery: the artifact that it makes, the stage that makes it, what that stage asks."""

    artifact: str
    stage: str
    asks: str
    partitioned: bool = True


CURATION = (
    Step(artifact="extracted_documents", stage="extract", asks="is there text in the page?"),
    Step(artifact="language_documents", stage="language", asks="is it in a wanted language?"),
    Step(artifact="heuristic_documents", stage="heuristics", asks="does it look like prose?"),
    Step(artifact="varied_documents", stage="repetition", asks="does it keep from repeating itself?"),
    Step(artifact="harmless_documents", stage="harmful", asks="is it neither insulting nor adult?"),
    Step(artifact="quality_documents", stage="quality", asks="is it worth learning from?"),
    Step(artifact="masked_documents", stage="pii", asks="whom does it name? (masks, removes nothing)"),
    Step(artifact="deduplicated_documents", stage="dedup", asks="is it said elsewhere already?", partitioned=False),
    Step(
        artifact="decontaminated_documents",
        stage="decontaminate",
        asks="does it hold what the model will be measured on?",
        partitioned=False,
    ),
)
"""The steps in their order."""

CORPUS = CURATION[-1].artifact
"""The artifact that the refinery ends with: what tokens are made of."""


def funnel(artifacts: Iterable[Artifact]) -> list[dict[str, Any]]:
    """What became of documents at each stage: one row a stage, summed over its partitions, in the order of `CURATION`.

    The columns: `stage, num_in, num_kept, num_removed, num_lost, kept_share, text_bytes_kept, removed_by_rule,
    lost_by_reason`.
    """
    by_stage: dict[str, list[Mapping[str, Any]]] = {}
    for artifact in artifacts:
        by_stage.setdefault(artifact.summary["stage"], []).append(artifact.summary)
    return [_funnel_row(step.stage, by_stage[step.stage]) for step in CURATION if step.stage in by_stage]


def _funnel_row(stage: str, summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sums = {
        name: sum(summary[name] for summary in summaries)
        for name in ("num_in", "num_kept", "num_removed", "num_lost", "text_bytes_kept")
    }
    joint = {name: _sum_mappings([summary[name] for summary in summaries]) for name in _MAPPINGS}
    return {"stage": stage, **sums, "kept_share": sums["num_kept"] / max(1, sums["num_in"]), **joint}


_MAPPINGS = ("removed_by_rule", "lost_by_reason")


def _sum_mappings(mappings: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = sorted({name for mapping in mappings for name in mapping})
    return {name: sum(mapping.get(name, 0) for mapping in mappings) for name in names}
