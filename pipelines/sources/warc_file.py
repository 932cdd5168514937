"""A WARC file of a source: its name, where it lies, its size and digest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WarcFile:
    """One file: its name within the source, where it lies here, its content, and the URL that it came from, if any."""

    name: str
    path: Path
    size_bytes: int
    sha256: str
    origin: str = ""

    @property
    def location(self) -> str:
        """Where it lies for everyone: its URL, or for a file of this machine its path."""
        return self.origin or str(self.path)
