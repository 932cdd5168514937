"""Alignment data as an artifact: the three JSON Lines files, checked line by line before any training starts."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from lm import storage
from lm.alignment.records import Instruction, Preference, Problem, of_split, read_records
from lm.storage import Artifact, Publication

FILES = {"instructions.jsonl": Instruction, "preferences.jsonl": Preference, "problems.jsonl": Problem}
"""What an alignment needs, by file name."""


def publish_alignment_data(files: dict[str, Path], target: Path) -> Artifact:
    """Check `files` (name in `FILES` to path) and publish copies at `target` with counts by split.

    Raises:
        InputError: a file is missing, a line is damaged, or a split is empty; names file, line and field.
    """

    def write(publication: Publication) -> None:
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
