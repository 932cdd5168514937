"""Single files from anywhere: HTTP by `pipelines.fetch.download`, stores by fsspec, or local paths.

Decisions:
- A copy records the store's version of its content (`ukey`: an ETag, or size and time). It is fetched again only if the
  version differs; an interrupted copy is resumed only if the version is the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lm import progress
from lm.errors import InputError
from lm.locations import is_remote, locate
from lm.storage import sha256_of
from lm.store_access import request
from pipelines.fetch.partial_file import PartFile, part_of
from pipelines.fetch.urls import path_below

if TYPE_CHECKING:
    from pipelines.fetch.download import Downloader

_READ_BYTES = 1 << 22


def is_http(place: str) -> bool:
    """Return whether a place is fetched over HTTP."""
    return place.lower().startswith(("https://", "http://"))


def copy_path(url: str, downloads: Path) -> Path:
    """Return the path below `downloads` of the copy of a remote file: by host or bucket and path, and by scheme.

    Raises:
        InputError: the path climbs.
    """
    parts = urlsplit(url)
    mark = hashlib.sha256(f"{parts.scheme}://{parts.netloc}".encode()).hexdigest()[:8]
    return path_below(downloads, f"{mark}/{parts.path.strip('/')}")


def fetch_file(url: str, target: Path, downloader: Downloader | None = None, sha256: str | None = None) -> Path:
    """Copy the file at `url` to `target`, whole or not at all; an unchanged copy is kept.

    Raises:
        InputError: the file cannot be fetched, or has another digest than `sha256`; names the URL.
        UnreachableError: the store did not answer.
        NoSpaceError: the disk is full; the part file was removed.
        ConflictError: another process is fetching the same file.
    """
    if is_http(url):
        from pipelines.fetch.download import Downloader

        return (downloader or Downloader()).download(url, target, sha256=sha256)
    source = locate(url)
    note = target.with_name(f".{target.name}.origin.json")
    tag, size_bytes = request(url, lambda: _identity(source))
    if target.is_file() and _note(note) == {"tag": tag, "sha256": sha256_of(target)}:
        return target
    with part_of(target, url) as part:
        request(url, lambda: _copy(source, part, tag, size_bytes))
        actual = sha256_of(part.path)
        if sha256 is not None and actual != sha256:
            part.discard()
            raise InputError(f"{url}: sha256 is {actual}, expected {sha256}")
        note.write_text(json.dumps({"tag": tag, "sha256": actual}), "utf-8")
    return target


def read_file(url: str, max_bytes: int) -> bytes:
    """Return the content of a stored file, at most `max_bytes`.

    Raises:
        InputError: the file cannot be fetched, or is longer.
    """
    source: Any = locate(url)
    content: bytes = request(url, lambda: source.fs.cat_file(source.path, end=max_bytes + 1))
    if len(content) > max_bytes:
        raise InputError(f"{url}: longer than {max_bytes} bytes")
    return content


def read_range(url: str, offset: int, size_bytes: int, downloader: Downloader | None = None) -> bytes:
    """Return `size_bytes` bytes of a file from `offset` on.

    Raises:
        InputError: the bytes cannot be fetched; names the URL.
    """
    if is_http(url):
        from pipelines.fetch.download import Downloader

        return (downloader or Downloader()).read_range(url, offset, size_bytes)
    source: Any = locate(url)

    def read() -> bytes:
        if is_remote(source):
            stored: bytes = source.fs.cat_file(source.path, start=offset, end=offset + size_bytes)
            return stored
        with source.open("rb") as stream:
            stream.seek(offset)
            found: bytes = stream.read(size_bytes)
            return found

    content = request(url, read)
    if len(content) != size_bytes:
        raise InputError(f"{url}: {len(content)} bytes from {offset} on, expected {size_bytes}")
    return content


def local_path(place: str, downloads: Path) -> Path:
    """Return the local path of a file: `place` itself if it is local, else its copy below `downloads`.

    Raises:
        InputError: it cannot be had.
    """
    if not is_http(place):
        located = locate(place)
        if not is_remote(located):
            return located
    return fetch_file(place, copy_path(place, downloads))


def _identity(source: Any) -> tuple[str, int]:
    """Return the store's version of the file, and its size in bytes."""
    info = source.fs.info(source.path)
    if info["type"] != "file":
        raise InputError(f"{source}: a folder, expected a file")
    return str(source.fs.ukey(source.path)), int(info["size"])


def _copy(source: Any, part: PartFile, tag: str, size_bytes: int) -> None:
    if part.validator != tag:
        part.discard()
        part.begin(tag)
    offset = part.size_bytes()
    with (
        source.fs.open(source.path, "rb", block_size=_READ_BYTES, cache_type="readahead") as stored,
        part.path.open("ab") as stream,
        progress.bar(f"fetch {source.name}", total=size_bytes, unit="B", initial=offset) as bar,
    ):
        stored.seek(offset)
        while chunk := stored.read(_READ_BYTES):
            stream.write(chunk)
            bar.update(len(chunk))
        stream.flush()
        os.fsync(stream.fileno())
    if part.path.stat().st_size != size_bytes or _identity(source)[0] != tag:
        part.discard()
        raise InputError(f"{source}: changed while being read")


def _note(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
