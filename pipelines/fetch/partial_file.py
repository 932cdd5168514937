"""The part file of a download: the bytes so far, with their URL and validator, locked by one process.

.NAME.part        the bytes so far        .NAME.part.json     their URL and validator
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lm.errors import ConflictError, no_space
from lm.locks import take
from lm.storage import is_no_space


@dataclass(slots=True)
class PartFile:
    """The bytes of earlier attempts, and their validator."""

    path: Path
    url: str
    validator: str = ""
    note: Path = field(init=False)

    def __post_init__(self) -> None:
        self.note = self.path.with_name(self.path.name + ".json")
        try:
            known = json.loads(self.note.read_text("utf-8"))
            self.validator = str(known["validator"]) if known["url"] == self.url else ""
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            self.validator = ""

    def size_bytes(self) -> int:
        """Return the number of bytes to resume from; 0 without a validator."""
        return self.path.stat().st_size if self.validator and self.path.exists() else 0

    def begin(self, validator: str) -> None:
        """Record the version of the file that the next bytes belong to."""
        self.validator = validator
        self.note.write_text(json.dumps({"url": self.url, "validator": validator}), "utf-8")

    def discard(self) -> None:
        """Discard the bytes."""
        self.validator = ""
        os.truncate(self.path, 0)
        self.note.unlink(missing_ok=True)


@contextmanager
def part_of(target: Path, url: str) -> Iterator[PartFile]:
    """Open and lock the part file of `target`; leaving the block without an error renames it to `target`.

    Raises:
        ConflictError: another process is downloading the same file.
        NoSpaceError: the disk is full; the part file was removed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_name(f".{target.name}.part")) as path:
        part = PartFile(path, url)
        try:
            yield part
            path.replace(target)
        except OSError as error:
            if not is_no_space(error):
                raise
            path.unlink(missing_ok=True)
            part.note.unlink(missing_ok=True)
            raise no_space(path) from None
        part.note.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Open and lock the part file; create it if needed."""
    with path.open("ab") as stream:
        if not take(stream):
            raise ConflictError(f"{path}: another process is downloading this file")
        yield path
