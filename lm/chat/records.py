"""Alignment data from JSON Lines: instructions, preferences, problems.

Each line is an object with exactly the fields of its record, `context` optional; the first bad line ends the reading
with its file, line and field. `lm.chat.layouts` makes such records of data as it is published.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from lm.chat.template import Message, Role
from lm.errors import InputError

Split = Literal["train", "heldout"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Instruction:
    """A prompt, after the turns of its context, with the response to learn."""

    id: str
    prompt: str
    response: str
    split: Split
    context: tuple[Message, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Preference:
    """A prompt, after the turns of its context, with a better and a worse response."""

    id: str
    prompt: str
    chosen: str
    rejected: str
    split: Split
    context: tuple[Message, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A prompt whose answer is one integer."""

    id: str
    prompt: str
    answer: int
    split: Split


Record = TypeVar("Record", Instruction, Preference, Problem)


def read_records(kind: type[Record], path: Path) -> list[Record]:
    """Return all records of one kind in a file, in its order.

    Raises:
        InputError: the file is missing, empty or not UTF-8, or a line is not such a record; names file, line and field.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected {kind.__name__.lower()} records as JSON Lines") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}, expected JSON Lines") from None
    records = [_parse(kind, line, f"{path}:{i}") for i, line in enumerate(lines, 1) if line.strip()]
    if not records:
        raise InputError(f"{path}: empty, expected {kind.__name__.lower()} records as JSON Lines")
    _refuse_repeated_ids(records, path)
    return records


def of_split(records: list[Record], split: Split, path: Path) -> list[Record]:
    """Return the records of one split.

    Raises:
        InputError: there are none.
    """
    chosen = [record for record in records if record.split == split]
    if not chosen:
        raise InputError(f"{path}: no record has split '{split}'")
    return chosen


def _parse(kind: type[Record], line: str, place: str) -> Record:
    try:
        # Constants such as NaN are not JSON; a huge integer is refused by Python itself with a ValueError.
        value = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not JSON ({error})") from None
    if not isinstance(value, Mapping):
        raise InputError(f"{place}: a {type(value).__name__}, expected an object")
    fields = dataclasses.fields(kind)
    names = [field.name for field in fields]
    for name in (field.name for field in fields if field.default is dataclasses.MISSING):
        if name not in value:
            raise InputError(f"{place}: field '{name}' is missing")
    for name in value:
        if name not in names:
            raise InputError(f"{place}: unknown field '{name}', expected {', '.join(names)}")
    hints = get_type_hints(kind)
    return kind(
        **{name: _check(hints[name], value[name], f"{place}: field '{name}'") for name in names if name in value}
    )


def _check(hint: Any, value: Any, place: str) -> Any:
    if hint is Split:
        if value not in get_args(Split):
            raise InputError(f"{place} is {value!r}, expected 'train' or 'heldout'")
    elif hint == tuple[Message, ...]:
        return tuple(_message(each, place) for each in (value if isinstance(value, list) else [value]))
    elif hint is int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise InputError(f"{place} is {value!r:.80}, expected an integer")
    elif not isinstance(value, str) or not value:
        raise InputError(f"{place} is {value!r:.80}, expected text")
    return value


def _message(value: Any, place: str) -> Message:
    if not isinstance(value, Mapping) or value.keys() != {"role", "content"}:
        raise InputError(f"{place} has {value!r:.80}, expected messages with 'role' and 'content'")
    if value["role"] not in get_args(Role) or not isinstance(value["content"], str):
        raise InputError(f"{place} has {dict(value)!r:.80}, expected a role of {', '.join(get_args(Role))} and a text")
    return Message(value["role"], value["content"])


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refuse_repeated_ids(records: list[Record], path: Path) -> None:
    seen: set[str] = set()
    for record in records:
        if record.id in seen:
            raise InputError(f"{path}: duplicate id '{record.id}'")
        seen.add(record.id)
