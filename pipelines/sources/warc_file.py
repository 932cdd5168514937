"""A WARC file of a source: name, location, size and digest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WarcFile:
    """One file: its name within the source, local path, size, digest, and its URL if it is remote."""

    name: str
    path: Path
    size_bytes: int
    sha256: str
    origin: str = ""

    @property
    def location(self) -> str:
        """Return the location for every machine: the URL, or the path of a local file."""
        return self.origin or str(self.path)
