"""Stored files: their entries in a manifest, their digests, and the reserved file names."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass
from pathlib import Path

from lm.errors import NoSpaceError

MANIFEST = "manifest.json"
STAGING = ".staging-"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file's entry in a manifest: size and sha256."""

    size_bytes: int
    sha256: str


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes in lower-case hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_no_space(error: BaseException | None) -> bool:
    """Return whether an error or one of its causes is ENOSPC, by number or, from Rust and C++ libraries, by message."""
    while error is not None:
        if isinstance(error, NoSpaceError):
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return True
        if "no space left on device" in str(error).lower():
            return True
        error = error.__cause__ or error.__context__
    return False
