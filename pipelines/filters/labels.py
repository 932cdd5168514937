"""Labelled examples from JSON Lines or CSV files: pairs of a text and whether it has the label."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from lm.configuration import Doc, settle
from lm.errors import InputError
from pipelines.sources.json_lines import open_text, read_json_lines

POSITIVE = ("true", "1", "yes")
"""Values of a label's field, as text in lower case, that mean yes."""


@dataclass(frozen=True, kw_only=True)
class LabelFile:
    """A file of labelled texts and the names in it; a row has the label where its value is one of `positive`."""

    path: Annotated[str | None, Doc("A .jsonl or .csv file, plain or .gz; empty means the built-in crawl's.")] = None
    text: Annotated[str, Doc("The field or column of the text.")] = "text"
    label: Annotated[str | None, Doc("The field or column of the label; empty means the name of the classifier.")] = (
        None
    )
    positive: Annotated[
        tuple[str, ...], Doc("Label values, in lower case, that mean yes; all other values mean no.")
    ] = POSITIVE

    def __post_init__(self) -> None:
        settle(self, "labels")


def read_texts(path: Path | str, text: str = "text") -> Iterator[str]:
    """Yield the field `text` of every row of a `.jsonl` or `.csv` file, plain or `.gz`.

    Raises:
        InputError: as `read_labels`.
    """
    for line, row in _rows(Path(path)):
        yield _field(path, line, row, text)


def read_labels(
    path: Path | str, label: str, *, text: str = "text", positive: tuple[str, ...] = POSITIVE
) -> Iterator[tuple[str, bool]]:
    """Yield `(text, has the label)` for every row of a `.jsonl` or `.csv` file, plain or `.gz`.

    `text` and `label` name the fields; a row has the label where its value, as text in lower case, is one of
    `positive`.

    Raises:
        InputError: no such file, another format, a row that cannot be read or lacks a field; names file and line.
    """
    for line, row in _rows(Path(path)):
        content = _field(path, line, row, text)
        if row.get(label) is None:
            raise InputError(f"{path}:{line}: no field '{label}'; found {', '.join(map(str, row))}")
        yield content, str(row[label]).strip().lower() in positive


def field_names(path: Path | str) -> tuple[str, ...]:
    """Return the names of the fields of the first row of a `.jsonl` or `.csv` file, plain or `.gz`; none where it is
    empty.

    Raises:
        InputError: as `read_labels`.
    """
    return next((tuple(map(str, row)) for _, row in _rows(Path(path))), ())


def _field(path: Path | str, line: int, row: dict[str, Any], text: str) -> str:
    if row.get(text) is None:
        raise InputError(f"{path}:{line}: no field '{text}'; found {', '.join(map(str, row))}")
    if not isinstance(row[text], str):
        raise InputError(f"{path}:{line}: field '{text}' is a {type(row[text]).__name__}, expected text")
    return str(row[text])


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and value of each row."""
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind not in ("jsonl", "csv"):
        raise InputError(f"{path}: expected a .jsonl or .csv file, plain or .gz")
    return read_json_lines(path) if kind == "jsonl" else _csv_rows(path)


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(sys.maxsize)  # a labelled page may be longer than the default of 128 KiB
    with open_text(path) as lines:
        reader = csv.DictReader(lines)
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num}: not CSV: {error}") from error
