"""Alignment data as it is published, read into the house's records (`lm.chat.records`).

| layout | fields | gives |
|---|---|---|
| loam | those of a record | the record as it stands |
| messages | `messages` [{role, content}…] | an instruction for each reply of the assistant, after the turns before it |
| alpaca | `instruction`, `output`, `input` | an instruction |
| self_instruct | `instruction`, `instances` [{input, output}…] | an instruction for each instance |
| gsm8k | `question`, `answer` with a last line `#### n` | an instruction, or a problem |
| pairs | `prompt`, `chosen`, `rejected`, `context` | a preference, after the turns of `context` if there are any |
| votes | `vote`, `prompt`, and answers (`lm.chat.votes`) | a preference for two answers of which one is better |
| hh | `chosen`, `rejected`: `Human:` and `Assistant:` in turns | a preference of the last reply |

Files are JSON Lines, or a JSON array, plain or gzip. A file has one layout, found by the fields of its first record;
other fields are ignored. Without an `id`, a record has the file's name and its number. Without a `split`, files named
`test`, `validation`, `dev` or `heldout` are held out where another file is not; otherwise a hash of the prompt decides.
What cannot be an example, such as an empty reply, is left out and counted by reason.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lm.chat.votes import is_vote, paired_votes
from lm.errors import InputError
from lm.rewards.answer_line import parse_answer

Row = dict[str, Any]
_Convert = Callable[[Mapping[str, Any], str], Iterator[Row]]
HELDOUT_ONE_IN = 20
"""Of this many prompts one is held out where the data has no splits."""

_HELDOUT_NAMES = frozenset({"test", "validation", "valid", "dev", "heldout", "eval"})
_TURN = re.compile(r"\n\n(Human|Assistant):")
_HH_ROLES = {"Human": "user", "Assistant": "assistant"}


class _LeftOutError(Exception):
    """A record that cannot be an example; the message is the reason."""


def read_rows(kind: str, paths: Sequence[Path], heldout_one_in: int = HELDOUT_ONE_IN) -> tuple[list[Row], Counter[str]]:
    """Return the rows of `kind` (instructions, preferences, problems) in all files, and the records left out by reason.

    Args:
        paths: one or more files of one data set.
        heldout_one_in: one prompt in so many is held out where the data has no splits.

    Raises:
        InputError: a missing or damaged file, a record without a text that its layout needs, or no record of this kind.
    """
    rows, left_out = list[Row](), Counter[str]()
    names_split = {path: _split_by_name(path) for path in paths}
    if set(names_split.values()) != {"train", "heldout"}:
        names_split = dict.fromkeys(paths, "")
    for path in paths:
        layout, found = None, list(read_objects(path))
        if kind == "preferences" and found and is_vote(found[0][1]):
            found, unpaired = paired_votes(found)
            left_out.update(unpaired)
        for number, (place, record) in enumerate(found):
            fields, convert = layout = layout or _layout(record, kind, place)
            for name in sorted(fields - record.keys()):
                raise InputError(f"{place}: field '{name}' is missing, but the file's first record has it")
            try:
                for part, row in enumerate(convert(record, place)):
                    name = f"{_stem(path)}-{number:06d}" + (f"-{part}" if part else "")
                    row.setdefault("id", str(record.get("id", name)) + (f"-{part}" if part and "id" in record else ""))
                    row.setdefault("split", names_split[path] or _split_by_hash(row, heldout_one_in))
                    rows.append(row)
            except _LeftOutError as reason:
                left_out[str(reason)] += 1
    if not rows:
        raise InputError(f"{', '.join(map(str, paths))}: no {kind}, expected at least 1")
    return rows, left_out


def read_objects(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (place, object) of every record of JSON Lines or of a JSON array, plain or gzip.

    Raises:
        InputError: the file is missing or damaged, or a record is not an object; names file and line.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected JSON Lines or a JSON array") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}, expected JSON Lines or a JSON array in UTF-8") from None
    found: list[tuple[int, Any]]
    if text.lstrip().startswith("["):
        found = list(enumerate(_parsed(text, str(path)), 1))
    else:
        lines = enumerate(text.split("\n"), 1)
        found = [(number, _parsed(line, f"{path}:{number}")) for number, line in lines if line.strip()]
    for number, value in found:
        if not isinstance(value, Mapping):
            raise InputError(f"{path}:{number}: a {type(value).__name__}, expected an object")
        yield f"{path}:{number}", value


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not JSON ({error})") from None


def _layout(record: Mapping[str, Any], kind: str, place: str) -> tuple[frozenset[str], _Convert]:
    """Return the fields and the conversion of the layout of a file's first record."""
    for fields, kinds in _LAYOUTS:
        if fields <= record.keys() and kind in kinds:
            return fields, kinds[kind]
    known = "; ".join(", ".join(sorted(fields)) for fields, kinds in _LAYOUTS if kind in kinds)
    raise InputError(f"{place}: fields {', '.join(sorted(record))}, expected for {kind} one of: {known}")


def _text(record: Mapping[str, Any], name: str, place: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise InputError(f"{place}: field '{name}' is {value!r:.80}, expected text")
    if not value.strip():
        raise _LeftOutError(f"empty {name}")
    return value


def _house(record: Mapping[str, Any], place: str) -> Iterator[Row]:
    yield dict(record)


def _messages(record: Mapping[str, Any], place: str) -> Iterator[Row]:
    messages = record["messages"]
    if not isinstance(messages, list):
        raise InputError(f"{place}: field 'messages' is {messages!r:.80}, expected a list")
    turns = _checked(messages, place)
    replies = [
        index
        for index in range(1, len(turns))
        if turns[index]["role"] == "assistant"
        and turns[index - 1]["role"] == "user"
        and turns[index]["content"].strip()
    ]
    if not replies:
        raise _LeftOutError("no reply of the assistant to a user")
    for index in replies:
        yield _row(turns[: index - 1], turns[index - 1]["content"], response=turns[index]["content"])


def _checked(messages: Sequence[Any], place: str) -> list[Row]:
    """Return messages with their roles and texts alone."""
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("content"), str):
            raise InputError(f"{place}: {message!r:.80}, expected a message with 'role' and 'content'")
        if message.get("role") not in ("system", "user", "assistant"):
            raise InputError(f"{place}: role {message.get('role')!r:.80}, expected system, user or assistant")
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def _row(context: list[Row], prompt: str, **texts: str) -> Row:
    return {"prompt": prompt, **texts, **({"context": context} if context else {})}


def _alpaca(record: Mapping[str, Any], place: str) -> Iterator[Row]:
    added = record.get("input") or ""
    prompt = _text(record, "instruction", place)
    yield _row([], f"{prompt}\n\n{added}" if added else prompt, response=_text(record, "output", place))


def _self_instruct(record: Mapping[str, Any], place: str) -> Iterator[Row]:
    instances = record["instances"]
    if not isinstance(instances, list) or not instances:
        raise _LeftOutError("no instances")
    for instance in instances:
        yield from _alpaca({"instruction": record["instruction"], **instance}, place)


def _gsm8k_instruction(record: Mapping[str, Any], place: str) -> Iterator[Row]:
    yield _row([], _text(record, "question", place), response=_text(record, "answer", place))


def _gsm8k_problem(record: Mapping[str, Any], place: str) -> Iterator[Row]:
    answer = parse_answer(_text(record, "answer", place))
    if answer is None:
        raise _LeftOutError("no last line '#### <integer>'")
    yield {"prompt": _text(record, "question", place), "answer": answer}


def _pair(record: Mapping[str, Any], place: str) -> Iterator[Row]:
    prompt, chosen, rejected = (_text(record, name, place) for name in ("prompt", "chosen", "rejected"))
    context = record.get("context") or []
    if not isinstance(context, list):
        raise InputError(f"{place}: field 'context' is {context!r:.80}, expected a list of messages")
    yield _different(_row(_checked(context, place), prompt, chosen=chosen, rejected=rejected))


def _hh(record: Mapping[str, Any], place: str) -> Iterator[Row]:
    chosen, rejected = (_turns(_text(record, name, place)) for name in ("chosen", "rejected"))
    if chosen[:-1] != rejected[:-1]:
        raise _LeftOutError("the conversations differ before the last reply")
    *context, prompt = chosen[:-1]
    yield _different(_row(context, prompt["content"], chosen=chosen[-1]["content"], rejected=rejected[-1]["content"]))


def _turns(text: str) -> list[Row]:
    """Return the turns of a conversation; the last two are the user's prompt and the assistant's reply."""
    parts = _TURN.split(text)
    turns = [
        {"role": _HH_ROLES[who], "content": what.strip()} for who, what in zip(parts[1::2], parts[2::2], strict=True)
    ]
    if parts[0].strip() or len(turns) < 2 or [turn["role"] for turn in turns[-2:]] != ["user", "assistant"]:
        raise _LeftOutError("no prompt with a reply at the end")
    if not turns[-1]["content"] or not turns[-2]["content"]:
        raise _LeftOutError("empty prompt or reply")
    return turns


def _different(row: Row) -> Row:
    if row["chosen"] == row["rejected"]:
        raise _LeftOutError("chosen and rejected are the same")
    return row


def _split_by_name(path: Path) -> str:
    return "heldout" if _HELDOUT_NAMES & set(re.split(r"[^a-z]+", _stem(path).lower())) else "train"


def _split_by_hash(row: Row, heldout_one_in: int) -> str:
    prompt = json.dumps([row.get("context", []), row["prompt"]], ensure_ascii=False)
    number = int.from_bytes(hashlib.blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    return "heldout" if number % heldout_one_in == 0 else "train"


def _stem(path: Path) -> str:
    return path.name.split(".")[0]


_Kinds = dict[str, _Convert]
_LAYOUTS: tuple[tuple[frozenset[str], _Kinds], ...] = (
    (frozenset({"id", "prompt", "response", "split"}), {"instructions": _house}),
    (frozenset({"id", "prompt", "chosen", "rejected", "split"}), {"preferences": _house}),
    (frozenset({"id", "prompt", "answer", "split"}), {"problems": _house}),
    (frozenset({"messages"}), {"instructions": _messages}),
    (frozenset({"instruction", "output"}), {"instructions": _alpaca}),
    (frozenset({"instruction", "instances"}), {"instructions": _self_instruct}),
    (frozenset({"question", "answer"}), {"instructions": _gsm8k_instruction, "problems": _gsm8k_problem}),
    (frozenset({"prompt", "chosen", "rejected"}), {"preferences": _pair}),
    (frozenset({"chosen", "rejected"}), {"preferences": _hh}),
)
