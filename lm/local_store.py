"""Artifacts on a local disk: files are synced and moved into place, then the manifest is replaced atomically."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from lm.errors import IntegrityError, UnreachableError
from lm.stored_files import MANIFEST, STAGING, FileEntry, sha256_of


class LocalStore:
    """The folder of one artifact."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read_manifest(self) -> bytes | None:
        """Return the manifest, or None if nothing is published.

        Raises:
            UnreachableError: the disk or network file system failed.
        """
        manifest = self.path / MANIFEST
        try:
            return manifest.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (PermissionError, IsADirectoryError):
            raise
        except OSError as error:
            raise UnreachableError(f"{manifest}: cannot be read ({error.strerror}); run again once it can") from error

    def begin(self) -> bytes | None:
        """Return the manifest, which the publication's lock keeps unchanged until `commit`."""
        return self.read_manifest()

    def sizes(self, version: str) -> dict[str, int]:
        """Return the size in bytes of each file of a version, by name."""
        folder = self.path / f"v-{version}"
        return {file.relative_to(folder).as_posix(): file.stat().st_size for file in walk(folder)}

    def file(self, version: str, name: str, entry: FileEntry) -> Path:
        """Return the path of a file after a check of its size and sha256.

        Raises:
            IntegrityError: the file is missing or its bytes changed.
        """
        path = self.path / f"v-{version}" / name
        try:
            stat = path.stat()
        except FileNotFoundError:
            raise IntegrityError(f"{path}: missing, though {self.path / MANIFEST} lists it") from None
        if stat.st_size != entry.size_bytes:
            raise IntegrityError(f"{path}: {stat.st_size:,} bytes, expected {entry.size_bytes:,}")
        actual = cached_sha256(path, stat.st_size, stat.st_mtime_ns)
        if actual != entry.sha256:
            raise IntegrityError(f"{path}: sha256 is {actual}, expected {entry.sha256}")
        return path

    def commit(
        self,
        staging: Path,
        content: str,
        files: Mapping[str, FileEntry],
        manifest_of: Callable[[str], bytes],
        previous: str | None,
    ) -> bytes:
        """Move the staged files into place, replace the manifest, then drop versions that no reader pins."""
        self._move_into_place(staging, content, files)
        manifest = manifest_of(content)
        if self.read_manifest() != manifest:
            replace_file(self.path / MANIFEST, manifest)
            self._drop(keep={content, previous})
        return manifest

    def _drop(self, keep: set[str | None]) -> None:
        for folder in self.path.glob("v-*"):
            if folder.name.removeprefix("v-") not in keep:
                shutil.rmtree(folder)

    def _move_into_place(self, staging: Path, version: str, files: Mapping[str, FileEntry]) -> None:
        """Move the staged files into the version's folder, unless an intact copy is there; replace a damaged one."""
        folder = self.path / f"v-{version}"
        if self._is_intact(folder, files):
            return
        for name in files:
            _fsync(staging / name)
        for directory in sorted({(staging / name).parent for name in files} | {staging}):
            _fsync(directory)
        if folder.exists():
            aside = folder.with_name(f"{STAGING}{secrets.token_hex(8)}")
            folder.rename(aside)
            shutil.rmtree(aside)
        staging.rename(folder)
        _fsync(folder.parent)

    def _is_intact(self, folder: Path, files: Mapping[str, FileEntry]) -> bool:
        found = {file.relative_to(folder).as_posix(): file for file in walk(folder)}
        return found.keys() == files.keys() and all(
            sha256_of(file) == files[name].sha256 for name, file in found.items()
        )


def walk(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder in sorted order, or none if the folder is absent.

    Raises:
        OSError: a folder cannot be listed; `Path.rglob` would skip it.
    """

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    yield from sorted(Path(top) / name for top, _, names in os.walk(folder, onerror=refuse) for name in names)


@lru_cache(maxsize=4096)
def cached_sha256(path: Path, size_bytes: int, mtime_ns: int) -> str:
    """Return the sha256 of a file, computed once per size and modification time."""
    return sha256_of(path)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: beside its place first, then moved there."""
    temporary = path.with_name(f"{STAGING}{path.name}")
    with temporary.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    _fsync(path.parent)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
