"""Points of a scaling law: trainings as (parameters, tokens, FLOPs, loss), read from CSV or JSON.

Columns are found by name, in any order and case:

    parameters  N, params, parameters           tokens  D, tokens, num_tokens
    flops       C, flops, compute, compute_budget    loss    loss, final_loss, validation_loss

The loss and two of the other three are needed; the third follows from C = 6 N D. Which parameters were counted
(`total` or `non_embedding`) changes the fitted exponents, so each set of points says it.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lm.errors import InputError

Count = Literal["total", "non_embedding"]
Array = NDArray[np.float64]

_NAMES: Mapping[str, tuple[str, ...]] = {
    "parameters": ("n", "params", "parameters", "num_parameters"),
    "tokens": ("d", "tokens", "num_tokens"),
    "flops": ("c", "flops", "compute", "compute_budget"),
    "loss": ("loss", "final_loss", "validation_loss"),
}


@dataclass(frozen=True, slots=True)
class Points:
    """Trainings, one an entry of each array `[points]`; losses in nats per token."""

    parameters: Array
    tokens: Array
    flops: Array
    loss: Array
    count: Count = "total"

    def __len__(self) -> int:
        return len(self.loss)

    def take(self, rows: Any) -> Points:
        """Return the points of these rows, or those where a mask is true."""
        return Points(self.parameters[rows], self.tokens[rows], self.flops[rows], self.loss[rows], self.count)

    def budgets(self) -> list[float]:
        """Return the distinct FLOPs, the smallest first; budgets within 1% of each other are one."""
        return budgets_of(self.flops)

    def of_budget(self, flops: float) -> Points:
        """Return the points of one of `budgets`."""
        return self.take((self.flops >= flops * 0.9999) & (self.flops <= flops * 1.01))


def budgets_of(flops: Array) -> list[float]:
    """Return the distinct FLOPs, the smallest first; those within 1% above one are that one."""
    found: list[float] = []
    for each in np.sort(flops):
        if not found or each > 1.01 * found[-1]:
            found.append(float(each))
    return found


def read_points(path: Path, count: Count = "total") -> Points:
    """Read the points of a `.csv` file, or of a `.json` file with a list of objects.

    Raises:
        InputError: names the file, and the row or column that is missing or not a positive number.
    """
    return points_of(read_rows(path), count, where=str(path))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a `.csv` file, or of a `.json` file with a list of objects.

    Raises:
        InputError: a file that does not exist, or is not JSON with a list of objects.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".json":
        try:
            rows = json.loads(text)
        except ValueError as error:
            raise InputError(f"{path}: {error}, expected JSON") from None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InputError(f"{path}: expected a list of objects")
        return rows
    return list(csv.DictReader(text.splitlines()))


def points_of(rows: Sequence[Mapping[Any, Any]], count: Count = "total", *, where: str = "points") -> Points:
    """Return rows of named values as points.

    Raises:
        InputError: as of `read_points`.
    """
    if not rows:
        raise InputError(f"{where}: no rows, expected one per training run")
    columns = {key: column_of(rows[0], names) for key, names in _NAMES.items()}
    missing = [key for key, column in columns.items() if column is None]
    if "loss" in missing or len(missing) > 1:
        known = "; ".join(f"{key} ({', '.join(_NAMES[key])})" for key in missing)
        found = ", ".join(str(name) for name in rows[0])
        expected = "a loss and two of parameters, tokens, flops"
        raise InputError(f"{where}: columns {found}; expected {expected}; missing {known}")
    values = {key: positive_column(rows, column, where) for key, column in columns.items() if column is not None}
    if "tokens" in missing:
        values["tokens"] = values["flops"] / (6 * values["parameters"])
    if "parameters" in missing:
        values["parameters"] = values["flops"] / (6 * values["tokens"])
    if "flops" in missing:
        values["flops"] = 6 * values["parameters"] * values["tokens"]
    return Points(values["parameters"], values["tokens"], values["flops"], values["loss"], count)


def require(points: Points, least: int, what: str) -> None:
    """Refuse to fit to too few points.

    Raises:
        InputError: fewer than `least` points.
    """
    if len(points) < least:
        raise InputError(f"{what}: {len(points)} points, expected at least {least}")


def column_of(row: Mapping[Any, Any], names: Iterable[str]) -> Any:
    """Return the row's own spelling of the first of `names` that it has; None where it has none."""
    by_name = {str(key).strip().lower(): key for key in row}
    return next((by_name[name] for name in names if name in by_name), None)


def positive_column(rows: Sequence[Mapping[Any, Any]], column: Any, where: str) -> Array:
    """Return the numbers of a column.

    Raises:
        InputError: names the row that has no finite number above 0.
    """
    return np.array([_positive(row.get(column), f"{where}: row {i}: {column}") for i, row in enumerate(rows, 1)])


def _positive(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{where}: {value!r}, expected a number") from None
    if isinstance(value, bool) or not math.isfinite(number) or number <= 0:
        raise InputError(f"{where}: {value!r}, expected a finite number above 0")
    return number
