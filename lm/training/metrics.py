"""The log of a run: numbers that repeat exactly.

Step, loss, learning rate, gradient norm, tokens, validation loss and samples belong to the result and to each
checkpoint: the same run writes the same bytes. What depends on the clock is `lm.training.live_view`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lm.locations import workspace

Report = Callable[[Mapping[str, object]], None]
METRICS, LIVE, PROFILE_FOLDER, PROFILE = "metrics.jsonl", "live.jsonl", "profile", "profile.json"


def work_folder(output: Path) -> Path:
    """Return the local folder of a run's checkpoints and live metrics: `NAME.work` beside its output, or in the
    cache for an output in a store."""
    near = workspace(output)
    return near.parent / f"{near.name}.work"


def live_rows(output: Path) -> list[dict[str, Any]]:
    """Return the rows that the live view of a run wrote."""
    return read_rows(work_folder(output) / LIVE)


def read_rows(path: Path, last_step: int | None = None) -> list[dict[str, Any]]:
    """Return the lines of a live view, with `last_step` those up to that step (at 0 none); a line that a kill cut short
    is left out.
    """
    rows = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if last_step is None or 0 < row.get("step", 0) <= last_step:
            rows.append(row)
    return rows


def time_table(output: Path) -> list[dict[str, Any]]:
    """Return the parts of the profiled step, slowest first: milliseconds, and the share of the step.

    Empty where no step was profiled.
    """
    path = work_folder(output) / PROFILE_FOLDER / PROFILE
    if not path.exists():
        return []
    parts = json.loads(path.read_text())["parts"]
    total = sum(row["seconds"] for row in parts)
    rows = sorted(parts, key=lambda row: -row["seconds"])
    return [
        {"part": row["part"], "milliseconds": round(1e3 * row["seconds"], 3), "share": round(row["seconds"] / total, 4)}
        for row in rows
    ]


class MetricsLog:
    """The lines of metrics.jsonl: one a step, and further ones with `validation_loss` or `sample`."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, step: int, values: Mapping[str, object]) -> dict[str, Any]:
        """Add one line and return it."""
        self.rows.append({"step": step, **values})
        return self.rows[-1]

    def copy(self) -> MetricsLog:
        """Return the lines so far; a line never changes."""
        twin = MetricsLog()
        twin.rows = list(self.rows)
        return twin

    def values(self, name: str) -> list[float]:
        """Return one column, without the rows that lack it."""
        return [row[name] for row in self.rows if name in row]

    def write(self, path: Path) -> None:
        """Write one JSON object a line; floats by their shortest exact form."""
        path.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in self.rows))

    def read(self, path: Path) -> None:
        """Take over the rows that an earlier part of the run wrote."""
        self.rows = [json.loads(line) for line in path.read_text().splitlines()]
