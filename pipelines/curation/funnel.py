"""The funnel: documents in, kept, removed and lost at each step, with the reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lm.storage import Artifact
from pipelines.curation.steps import CURATION

_COUNTS = ("num_in", "num_kept", "num_removed", "num_lost", "text_bytes_kept", "num_cut")
_REASONS = ("removed_by_rule", "lost_by_reason", "rules_off")
_NUM_SHOWN = 3


def funnel(artifacts: Iterable[Artifact]) -> list[dict[str, Any]]:
    """Return one row a stage, summed over its partitions, in the order of `CURATION`.

    The columns: `stage, num_in, num_kept, num_removed, num_lost, text_bytes_kept, num_cut, kept_share, removed_by_rule,
    lost_by_reason, rules_off`; `rules_off` counts documents to which a rule was not applied because data for their
    language is missing.
    """
    by_stage: dict[str, list[Mapping[str, Any]]] = {}
    for artifact in artifacts:
        by_stage.setdefault(artifact.summary["stage"], []).append(artifact.summary)
    return [_row(step.stage, by_stage[step.stage]) for step in CURATION if step.stage in by_stage]


def funnel_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of the funnel as a plain-text table, with the most frequent reasons."""
    yield f"{'documents':<14}{'in':>8}{'kept':>8}{'removed':>9}{'lost':>6}   most frequent reasons"
    for row in rows:
        gone = {**row["removed_by_rule"], **row["lost_by_reason"]}
        reasons = [f"{rule} {n}" for rule, n in sorted(gone.items(), key=lambda item: -item[1])[:_NUM_SHOWN]]
        if row["num_cut"]:
            reasons.append(f"{row['num_cut']} cut")
        counts = f"{row['num_in']:>8,}{row['num_kept']:>8,}{row['num_removed']:>9,}{row['num_lost']:>6,}"
        yield f"{row['stage']:<14}{counts}   {', '.join(reasons)}".rstrip()
        if row["rules_off"]:
            off = (f"{rule} {number:,}" for rule, number in row["rules_off"].items())
            yield f"{'':<14}not applied (the rule is off for the language): {', '.join(off)}"


def _row(stage: str, summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sums = {name: sum(summary.get(name, 0) for summary in summaries) for name in _COUNTS}
    joint = {name: _sum_mappings([summary.get(name, {}) for summary in summaries]) for name in _REASONS}
    return {"stage": stage, **sums, "kept_share": sums["num_kept"] / max(1, sums["num_in"]), **joint}


def _sum_mappings(mappings: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = sorted({name for mapping in mappings for name in mapping})
    return {name: sum(mapping.get(name, 0) for mapping in mappings) for name in names}
