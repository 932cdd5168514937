"""Alignment data as an artifact: the house's JSON Lines files, checked line by line before any training starts."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from lm import storage
from lm.chat.layouts import HELDOUT_ONE_IN, read_rows
from lm.chat.records import Instruction, Preference, Problem, of_split, read_records
from lm.errors import InputError
from lm.storage import Artifact, Publication

INSTRUCTIONS, PREFERENCES, PROBLEMS = "instructions.jsonl", "preferences.jsonl", "problems.jsonl"
COMPARISONS = "comparisons.jsonl"
"""A judge's comparisons, beside preferences that are made of them."""

GENERATIONS = "samples.jsonl"
"""The held-out answers of a stage, in its artifact."""

FILES = {INSTRUCTIONS: Instruction, PREFERENCES: Preference, PROBLEMS: Problem}
"""What an alignment needs, by file name."""


def publish_alignment_data(
    files: Mapping[str, Path | Sequence[Path]], target: Path, heldout_one_in: int = HELDOUT_ONE_IN
) -> Artifact:
    """Read `files` (name in `FILES` to one path or several), in the house's layout or as published, and publish them.

    The artifact has the house's records under the names of `FILES`. Its summary counts them by split, and counts what
    was left out of published data by reason. A name without a file is left out.

    Args:
        heldout_one_in: one prompt in so many is held out where the data has no splits.

    Raises:
        InputError: a file is missing, a line is damaged, a split is empty, or a held-out prompt is among the training
            ones of any file; names file, line and field, or both ids.
    """
    paths = {name: [found] if isinstance(found, Path) else list(found) for name, found in files.items()}

    def write(publication: Publication) -> None:
        for name in paths:
            left_out = _write_records(name, paths[name], publication.path / name, heldout_one_in)
            publication.summary.update({f"{Path(name).stem}_left_out": dict(left_out)} if left_out else {})
        _refuse_leaks({name: (publication.path / name, paths[name][0]) for name in paths})
        for name in paths:
            records = read_records(FILES[name], publication.path / name)
            for split in ("train", "heldout"):
                of_split(records, split, paths[name][0])
            counts = Counter(record.split for record in records)
            publication.summary.update({f"{Path(name).stem}_{split}": counts[split] for split in ("train", "heldout")})

    return storage.make(
        target,
        write,
        kind="alignment_data",
        config={} if heldout_one_in == HELDOUT_ONE_IN else {"heldout_one_in": heldout_one_in},
        inputs={
            (f"{name} {number}" if number else name): storage.sha256_of(place)
            for name, places in paths.items()
            for number, place in enumerate(places)
        },
    )


def _write_records(name: str, sources: Sequence[Path], target: Path, heldout_one_in: int) -> Counter[str]:
    """Write the house's records of published data, or a copy of what has that layout; count what is left out."""
    if len(sources) == 1 and _is_house_layout(sources[0]):
        read_records(FILES[name], sources[0])
        shutil.copyfile(sources[0], target)
        return Counter()
    rows, left_out = read_rows(Path(name).stem, sources, heldout_one_in)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    target.write_text("".join(lines), encoding="utf-8")
    return left_out


def _is_house_layout(path: Path) -> bool:
    """Return whether the first line has an id and a split, or is damaged, which the records' reader reports best."""
    try:
        with path.open(encoding="utf-8") as stream:
            value = json.loads(next(line for line in stream if line.strip()))
    except (OSError, ValueError, RecursionError, StopIteration):
        return path.suffix != ".gz"
    return not isinstance(value, dict) or bool({"id", "split"} & value.keys())


def _refuse_leaks(files: Mapping[str, tuple[Path, Path]]) -> None:
    """Compare the prompts of all files: each stage trains the model that the held-out parts of all files measure.

    A prompt counts with the turns before it. `files` has each file's place, and its source, which messages name.
    """
    trained: dict[str, str] = {}
    heldout: dict[str, str] = {}
    for name, (path, source) in files.items():
        for record in read_records(FILES[name], path):
            split = trained if record.split == "train" else heldout
            turns = [] if isinstance(record, Problem) else [message.text for message in record.context]
            split.setdefault(_normalized("\n".join([*turns, record.prompt])), f"{source}: id '{record.id}'")
    leaked = sorted(trained.keys() & heldout.keys())
    if leaked:
        place, other = heldout[leaked[0]], trained[leaked[0]]
        raise InputError(
            f"{place} is held out but has the prompt of the training example {other} ({len(leaked)} such prompts); "
            "expected held-out prompts that are not training prompts"
        )


def _normalized(prompt: str) -> str:
    """Return the prompt without what a copy may change: case, spacing, compatible forms of characters."""
    return " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())
