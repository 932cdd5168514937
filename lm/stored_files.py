"""What every store of artifacts knows of files: their entry in a manifest, and the names that are the scheme's own."""

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
    """One file of a manifest: its size and content."""

    size_bytes: int
    sha256: str


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in lower-case hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_no_space(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, is a full disk's; libraries in Rust and C++ tell it only in words."""
    while error is not None:
        if isinstance(error, NoSpaceError):
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return True
        if "no space left on device" in str(error).lower():
            return True
        error = error.__cause__ or error.__context__
    return False
