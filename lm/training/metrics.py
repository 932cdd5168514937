"""The log of a run: numbers that repeat exactly.

Step, loss, learning rate, gradient norm, tokens, validation loss and samples belong to the result and to each
checkpoint: the same run writes the same bytes. What depends on the clock is `lm.training.live_view`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Report = Callable[[Mapping[str, object]], None]


class MetricsLog:
    """The lines of metrics.jsonl: one a step, and further ones with `validation_loss` or `sample`."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, step: int, values: Mapping[str, object]) -> dict[str, Any]:
        """One line; returns it."""
        self.rows.append({"step": step, **values})
        return self.rows[-1]

    def copy(self) -> MetricsLog:
        """The lines so far; a line never changes."""
        twin = MetricsLog()
        twin.rows = list(self.rows)
        return twin

    def values(self, name: str) -> list[float]:
        """One column, without the rows that lack it."""
        return [row[name] for row in self.rows if name in row]

    def write(self, path: Path) -> None:
        """One JSON object a line; floats by their shortest exact form."""
        path.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in self.rows))

    def read(self, path: Path) -> None:
        """Take over the rows that an earlier part of the run wrote."""
        self.rows = [json.loads(line) for line in path.read_text().splitlines()]
