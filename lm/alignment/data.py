"""Alignment data as an artifact: the three JSON Lines files, checked line by line before any training starts."""

from __future__ import annotations

import shutil
import unicodedata
from collections import Counter
from pathlib import Path

from lm import storage
from lm.chat.records import Instruction, Preference, Problem, of_split, read_records
from lm.errors import InputError
from lm.storage import Artifact, Publication

INSTRUCTIONS, PREFERENCES, PROBLEMS = "instructions.jsonl", "preferences.jsonl", "problems.jsonl"
FILES = {INSTRUCTIONS: Instruction, PREFERENCES: Preference, PROBLEMS: Problem}
"""What an alignment needs, by file name."""


def publish_alignment_data(files: dict[str, Path], target: Path) -> Artifact:
    """Check `files` (name in `FILES` to path) and publish copies at `target` with counts by split.

    Raises:
        InputError: a file is missing, a line is damaged, a split is empty, or a held-out prompt is among the training
            ones of any file; names file, line and field, or both ids.
    """

    def write(publication: Publication) -> None:
        _refuse_leaks(files)
        for name, kind in FILES.items():
            records = read_records(kind, files[name])
            for split in ("train", "heldout"):
                of_split(records, split, files[name])
            counts = Counter(record.split for record in records)
            publication.summary.update({f"{Path(name).stem}_{split}": counts[split] for split in ("train", "heldout")})
            shutil.copyfile(files[name], publication.path / name)

    return storage.make(
        target,
        write,
        kind="alignment_data",
        config={},
        inputs={name: storage.sha256_of(files[name]) for name in FILES},
    )


def _refuse_leaks(files: dict[str, Path]) -> None:
    """Compare the prompts of all files: each stage trains the model that the held-out parts of all files measure."""
    trained: dict[str, str] = {}
    heldout: dict[str, str] = {}
    for name, kind in FILES.items():
        for record in read_records(kind, files[name]):
            split = trained if record.split == "train" else heldout
            split.setdefault(_normalized(record.prompt), f"{files[name]}: id '{record.id}'")
    leaked = sorted(trained.keys() & heldout.keys())
    if leaked:
        place, other = heldout[leaked[0]], trained[leaked[0]]
        raise InputError(
            f"{place} is held out with the same prompt as the training example {other} ({len(leaked)} such prompts); "
            "expected prompts that no training example has"
        )


def _normalized(prompt: str) -> str:
    """The prompt without what a copy may change: case, spacing, compatible forms of characters."""
    return " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())
