"""The summary of a run in a few lines: documents at each stage, model scores, sample answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lm.storage import Artifact, open_artifact
from pipelines import paths
from pipelines.curation.funnel import funnel, funnel_lines
from pipelines.curation.steps import CURATION

_STAGES = {"pretrained": "pre-trained", "sft": "SFT", "dpo": "DPO", "grpo": "GRPO"}
_NUM_SAMPLES = 3


def summary_lines(root: Path, partitions: list[str]) -> list[str]:
    """Return the last lines of `make demo`, from the artifacts below `root`."""
    return [
        "",
        *funnel_lines(funnel(curated_artifacts(root, partitions))),
        "",
        *_models(root),
        "",
        *_samples(open_artifact(paths.artifact_path("evaluation_report", root=root))),
        "",
        "Open the results in Dagster: make ui",
    ]


def curated_artifacts(root: Path, partitions: list[str]) -> Iterator[Artifact]:
    """Yield the artifacts of every step of the curation, of every given group."""
    for step in CURATION:
        for partition in partitions if step.partitioned else [None]:
            yield open_artifact(paths.artifact_path(step.artifact, partition, root))


def _models(root: Path) -> Iterator[str]:
    rows = open_artifact(paths.artifact_path("evaluation_report", root=root)).summary
    ngram = open_artifact(paths.artifact_path("ngram_baseline", root=root)).summary
    yield f"{'model':<14}{'bits/byte':>10}{'tax':>8}{'well-formed':>13}{'verified':>10}{'prefers chosen':>16}"
    yield f"{str(ngram['order']) + '-gram':<14}{ngram['bits_per_byte']:>10.3f}"
    for stage, name in _STAGES.items():
        row = rows[stage]
        tax = "" if row["tax"] is None else f"{row['tax']:+.1%}"
        yield (
            f"{name:<14}{row['bits_per_byte']:>10.3f}{tax:>8}{row['greedy_well_formed_rate']:>13.1%}"
            f"{row['greedy_verified_rate']:>10.1%}{row['prefers_chosen']:>16.1%}"
        )


def _samples(report: Artifact) -> Iterator[str]:
    facts: dict[str, Any] = json.loads(report.file("report.json").read_text())
    for sample in facts["samples"][:_NUM_SAMPLES]:
        answer = sample["responses"][-1]
        verdict = "right" if answer["verified"] else f"wrong, expected {sample['expected']}"
        text = " / ".join(line for line in answer["text"].splitlines() if line)
        yield f"> {sample['prompt']}"
        yield f"  {text}   ({verdict})"
