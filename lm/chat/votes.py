"""Votes on answers: lines of a file that a chat appends to, and the preferences that they make.

| vote | other fields | from |
|---|---|---|
| compare | `chosen`, `rejected` | two answers side by side |
| up, down | `response` | one answer |

Every line has the `prompt`, and in `context` the turns before it. An answer that was voted up and one that was voted
down after the same turns make a preference, in the order of the votes; each vote counts once.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lm.chat.template import Message
from lm.errors import InputError
from lm.json_lines import append_object

Vote = Literal["compare", "up", "down"]
Placed = tuple[str, Mapping[str, Any]]
"""The place of a record, as messages name it, and the record."""

TEXTS: Mapping[str, tuple[str, ...]] = {
    "compare": ("prompt", "chosen", "rejected"), "up": ("prompt", "response"), "down": ("prompt", "response"),
}  # fmt: skip
"""The texts of each vote."""

UNPAIRED = "a vote without an opposite one on the same prompt"


def append_vote(path: Path, vote: Vote, context: Sequence[Message], **texts: str) -> None:
    """Append one vote to a file as a line of its own.

    Raises:
        InputError: a text is missing or empty.
        OSError: the file cannot be written.
    """
    turns = [{"role": message.role, "content": message.text} for message in context]
    row = {"vote": vote, **({"context": turns} if turns else {}), **texts}
    check_vote(row, str(path))
    append_object(path, row)


def is_vote(record: Mapping[str, Any]) -> bool:
    """Return whether a record of published data is a vote."""
    return {"vote", "prompt"} <= record.keys()


def paired_votes(
    records: Iterable[tuple[str, Mapping[str, Any]]],
) -> tuple[list[Placed], Counter[str]]:
    """Return (place, preference) for comparisons and for opposite votes on one prompt, and what is left out by reason.

    Raises:
        InputError: a record is not a vote; names its place and field.
    """
    pairs = list[Placed]()
    waiting: dict[str, dict[str, deque[str]]] = {}
    for place, record in records:
        check_vote(record, place)
        turns = {name: record[name] for name in ("context", "prompt") if name in record}
        if record["vote"] == "compare":
            pairs.append((place, {**turns, "chosen": record["chosen"], "rejected": record["rejected"]}))
            continue
        same = waiting.setdefault(json.dumps(turns, sort_keys=True), {"up": deque(), "down": deque()})
        same[record["vote"]].append(record["response"])
        if same["up"] and same["down"]:
            pairs.append((place, {**turns, "chosen": same["up"].popleft(), "rejected": same["down"].popleft()}))
    unpaired = sum(len(votes) for same in waiting.values() for votes in same.values())
    return pairs, Counter({UNPAIRED: unpaired} if unpaired else {})


def check_vote(record: Mapping[str, Any], place: str) -> None:
    """Check the fields of a vote.

    Raises:
        InputError: names the place, the field and what it has.
    """
    vote = record.get("vote")
    if not isinstance(vote, str) or vote not in TEXTS:
        raise InputError(f"{place}: field 'vote' is {vote!r:.80}, expected {', '.join(TEXTS)}")
    for name in TEXTS[vote]:
        if not isinstance(record.get(name), str) or not record[name].strip():
            raise InputError(
                f"{place}: field '{name}' is {record.get(name)!r:.80}, expected text for the vote '{vote}'"
            )
    try:
        json.dumps(record, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{place}: a text with half of a surrogate pair, expected text that UTF-8 can hold") from None
