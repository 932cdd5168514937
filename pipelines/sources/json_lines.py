"""Rows of JSON Lines files, plain or gzip, with line numbers; errors name file and line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lm.errors import InputError


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield `(line number, object)` for every line that is not blank.

    Raises:
        InputError: no such file, not UTF-8 text, a damaged gzip, or a line that is not a JSON object.
    """
    with open_text(path, newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, _object(path, number, line)


@contextmanager
def open_text(path: Path, newline: str = "") -> Iterator[IO[str]]:
    """Read a UTF-8 file, plain or `.gz`; `newline` is `open`'s.

    Raises:
        InputError: no such file, not UTF-8 text, or a damaged gzip, found now or while reading.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8", newline=newline) as lines:
                yield lines
        else:
            with path.open(encoding="utf-8", newline=newline) as lines:
                yield lines
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (UnicodeDecodeError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text: {error}") from error


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{number}: not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}:{number}: a {type(value).__name__}, expected an object")
    return value
