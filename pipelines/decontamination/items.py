"""Evaluation items: the texts of evaluation sets, read from JSON Lines files, for which the corpus is searched.

An item is one field of one row. A field that holds a list of texts (the choices of a question) is one text, its parts
on lines. Fields are searched apart, so no n-gram reaches from a question into its answer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from lm import storage
from lm.configuration import Doc, settle, to_mapping
from lm.errors import ConfigurationError, InputError
from lm.storage import Artifact, Publication
from pipelines.sources.json_lines import read_json_lines

ITEMS = "items.jsonl"
EVALUATION_ITEMS_KIND = "evaluation_items"
_NO_TEXT_FIELDS = ("id", "split")


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationSet:
    """An evaluation set: a JSON Lines file whose texts are removed from the training documents."""

    name: Annotated[str, Doc("Name of the set in reports.")]
    path: Annotated[str, Doc("The file, plain or .gz.")]
    fields: Annotated[
        tuple[str, ...],
        Doc("Fields whose text is searched; empty takes every text field except id and split."),
    ] = ()
    split: Annotated[str | None, Doc("Take only rows whose field split has this value; empty takes all.")] = None

    def __post_init__(self) -> None:
        settle(self, "evaluation_items")


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One text of an item: set, row (its id, or its line), field, text."""

    set: str
    item: str
    field: str
    text: str


def publish_evaluation_items(sets: Sequence[EvaluationSet], target: Path) -> Artifact:
    """Read the sets and publish `items.jsonl`; the summary counts the rows and texts of each set.

    Raises:
        ConfigurationError: two sets have one name.
        InputError: a file is missing, holds no JSON objects, lacks a field, or has no row of the split.
    """
    names = Counter(each.name for each in sets)
    for name, count in names.items():
        if count > 1:
            raise ConfigurationError(f"evaluation_items.sets: {count} sets are named '{name}', expected one")
    for each in sets:
        if not Path(each.path).is_file():
            raise InputError(f"{each.path}: no such file, expected the evaluation set '{each.name}' as JSON Lines")

    def write(publication: Publication) -> None:
        counts = {}
        with (publication.path / ITEMS).open("w", encoding="utf-8", newline="\n") as stream:
            for each in sets:
                rows, num_texts = set(), 0
                for item in _items_of(each):
                    values = {"set": item.set, "item": item.item, "field": item.field, "text": item.text}
                    stream.write(json.dumps(values, ensure_ascii=False) + "\n")
                    rows.add(item.item)
                    num_texts += 1
                counts[each.name] = {"num_items": len(rows), "num_texts": num_texts}
        publication.summary.update(sets=counts, num_texts=sum(count["num_texts"] for count in counts.values()))

    without_paths = [{key: value for key, value in to_mapping(each).items() if key != "path"} for each in sets]
    return storage.make(
        target,
        write,
        kind=EVALUATION_ITEMS_KIND,
        config={"sets": without_paths},
        inputs={each.name: storage.sha256_of(Path(each.path)) for each in sets},
    )


def read_items(path: Path) -> list[Item]:
    """Return the items of a published `items.jsonl`, in order."""
    return [Item(**row) for _, row in read_json_lines(path)]


def _items_of(chosen: EvaluationSet) -> Iterator[Item]:
    """Yield the texts of one set, row by row."""
    num_rows = 0
    for line, row in read_json_lines(Path(chosen.path)):
        if chosen.split is not None and row.get("split") != chosen.split:
            continue
        num_rows += 1
        for name in chosen.fields or [key for key in row if key not in _NO_TEXT_FIELDS and _text(row[key])]:
            text = _text(row.get(name))
            if text is None:
                raise InputError(f"{chosen.path}:{line}: no text in field '{name}'; found {_described(row, name)}")
            yield Item(set=chosen.name, item=str(row.get("id", line)), field=name, text=text)
    if num_rows == 0:
        wanted = "" if chosen.split is None else f" whose split is '{chosen.split}'"
        raise InputError(f"{chosen.path}: no row{wanted}, expected the evaluation set '{chosen.name}'")


def _text(value: Any) -> str | None:
    """Return the text of a field, or the parts of a list on lines; None for any other value."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return "\n".join(value)
    return None


def _described(row: Mapping[str, Any], name: str) -> str:
    return f"a {type(row[name]).__name__}" if name in row else ", ".join(map(str, row))
