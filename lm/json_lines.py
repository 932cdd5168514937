"""JSON Lines files: appending whole lines, from several processes, through kills and full disks; and reading them."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append_object(path: Path, row: Mapping[str, Any]) -> None:
    """Append one object as a line of its own and force it to the disk.

    Processes that append to one file take turns by a lock. A write that fails leaves the file as it was. Where a
    killed process of another program left half a line, the object begins a new one.

    Raises:
        OSError: the file cannot be written, for example because the disk is full.
    """
    line = json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass") + b"\n"
    with path.open("a+b", buffering=0) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        size = stream.seek(0, os.SEEK_END)
        if size:
            stream.seek(size - 1)
            line = line if stream.read(1) == b"\n" else b"\n" + line
        try:
            while line:  # a write that is short on a full disk raises at its next one
                line = line[stream.write(line) :]
            os.fsync(stream.fileno())
        except OSError:
            os.ftruncate(stream.fileno(), size)
            raise


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON Lines file that Loam wrote.

    Lines end at newlines alone: JSON leaves the separators U+2028 and U+0085 in a text as they are, where
    `str.splitlines` would cut it.
    """
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
