"""Verdict of an ablation: the winner, its lead, and whether the lead exceeds the spread between seeds."""

from __future__ import annotations

import functools
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm import storage
from lm.ablations.config import LEARNING_RATE
from lm.storage import Artifact, Publication
from lm.training.metrics import live_rows

RUNS, PAGE = "runs.json", "report.md"
"""The files of a question's artifact; the joint report has a PAGE too."""

Run = Mapping[str, Any]


def runs_of(artifact: Artifact) -> list[dict[str, Any]]:
    """Return the runs of a question."""
    found: list[dict[str, Any]] = json.loads(artifact.file(RUNS).read_text())["runs"]
    return found


def validation_over_seconds(run: Run, runs: Path) -> tuple[list[float], list[float]]:
    """Return the seconds of work after which a run was looked at, and what its validation loss then was; without what
    is not known on this machine.
    """
    at = {row["step"]: row["seconds"] for row in live_rows(runs / run["name"]) if "seconds" in row}
    evaluations = zip(run["validation_steps"], run["validation_losses"], strict=True)
    known = [(at[step], loss) for step, loss in evaluations if step in at]
    return [seconds for seconds, _ in known], [loss for _, loss in known]


def write_ablation_report(questions: Mapping[str, Artifact], output: Path) -> Artifact:
    """Join the questions' pages, their verdicts on top, and publish `report.md` at `output`."""
    return storage.make(
        output,
        functools.partial(_write_report, questions),
        kind="ablation_report",
        config={},
        inputs={name: artifact.digest for name, artifact in questions.items()},
    )


def _write_report(questions: Mapping[str, Artifact], publication: Publication) -> None:
    verdicts = [f"- {sentence(name, artifact.summary)}" for name, artifact in questions.items()]
    pages = [artifact.file(PAGE).read_text() for artifact in questions.values()]
    text = "\n".join(["# Ablations", "", *verdicts, "", *pages])
    (publication.path / PAGE).write_text(text, encoding="utf-8")
    winners = {name: artifact.summary["winner"] for name, artifact in questions.items()}
    publication.summary.update(winners=winners, num_runs=sum(a.summary["num_runs"] for a in questions.values()))


def standings(rows: Sequence[Run]) -> list[dict[str, Any]]:
    """Return a row a variant, in the order of `rows`: means over its seeds, `spread` the largest difference between
    them (None of a single one), `finite` where all losses were numbers; a variant that diverged with any seed has no
    loss.
    """
    found = []
    for variant in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == variant]
        diverged = [row["seed"] for row in own if row["diverged"]]
        losses = [row["validation_loss"] for row in own if row["validation_loss"] is not None]
        whole = not diverged and bool(losses)
        found.append(
            {
                "variant": variant,
                "parameters": own[0]["parameters"],
                "num_seeds": len(own),
                "validation_loss": statistics.fmean(losses) if whole else None,
                "spread": max(losses) - min(losses) if whole and len(losses) > 1 else None,
                "bits_per_byte": statistics.fmean(row["bits_per_byte"] for row in own) if whole else None,
                "diverged_seeds": diverged,
                "finite": all(row["validation_loss"] is not None for row in own),
            }
        )
    return found


def verdict(question: str, rows: Sequence[Run]) -> dict[str, Any]:
    """Return the winner and the next variant; the lead between them in nats per token; the larger of their spreads
    between seeds (None where there is one seed), whether the lead is larger than that, and the variants that diverged;
    of learning rates, those that were too high.
    """
    table = standings(rows)
    trained = (row for row in table if row["validation_loss"] is not None)
    ranked = sorted(trained, key=lambda row: row["validation_loss"])
    first, second, *_ = [*ranked, None, None]
    lead = second["validation_loss"] - first["validation_loss"] if first and second else None
    spread = max((row["spread"] for row in ranked[:2] if row["spread"] is not None), default=None)
    return {
        "winner": first["variant"] if first else None,
        "runner_up": second["variant"] if second else None,
        "lead": lead,
        "spread": spread,
        "clear": first is not None and (lead is None or (spread is not None and lead > spread)),
        "diverged": _diverged(question, table),
    }


def _diverged(question: str, table: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the variants that diverged; of learning rates, a low one that only learned too little did not."""
    found, learned = [], question != LEARNING_RATE
    for row in table:
        if row["validation_loss"] is not None:
            learned = True
        elif learned or not row["finite"]:
            found.append(row["variant"])
    return found


def sentence(question: str, found: Mapping[str, Any]) -> str:
    """Return the verdict in words."""
    name = question.replace("_", " ")
    if found["winner"] is None:
        return f"{name}: no variant learned."
    if found["lead"] is None:
        return f"{name}: {found['winner']}; no other variant learned."
    luck = "" if found["clear"] else ", not a clear lead"
    spread = "one seed, so the seed noise is unknown"
    if found["spread"] is not None:
        spread = f"spread between seeds of these two up to {found['spread']:.3f}"
    edge = ""
    if found["diverged"]:
        edge = f"; diverged: {', '.join(found['diverged'])}"
    elif question == LEARNING_RATE:
        edge = "; no rate diverged, so the stability limit is higher"
    lead = f"{found['winner']} beats {found['runner_up']} by {found['lead']:.3f} nats per token"
    return f"{name}: {lead}{luck}: {spread}{edge}."


def render(question: str, rows: Sequence[Run], found: Mapping[str, Any], num_tokens: int) -> str:
    """Return the question's report as Markdown."""
    lines = [
        f"### {question.replace('_', ' ')}",
        "",
        f"{sentence(question, found)} Each run: {num_tokens:,} tokens.",
        "",
        "| variant | parameters | validation loss | between seeds | bits per byte |",
        "|---|--:|--:|--:|--:|",
    ]
    for row in standings(rows):
        if row["validation_loss"] is None:
            seeds = ", ".join(map(str, row["diverged_seeds"]))
            what = "diverged" if row["variant"] in found["diverged"] else "did not learn"
            lines.append(f"| {row['variant']} | {row['parameters']:,} | {what} (seed {seeds}) | | |")
            continue
        spread = "one seed" if row["spread"] is None else f"{row['spread']:.3f}"
        lines.append(
            f"| {row['variant']} | {row['parameters']:,} | {row['validation_loss']:.3f} | {spread} "
            f"| {row['bits_per_byte']:.3f} |"
        )
    return "\n".join(lines) + "\n"
