"""The interface of an artifact's store, and the choice between a local disk and an object store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from lm.local_store import LocalStore
from lm.locations import is_remote
from lm.stored_files import FileEntry


class Store(Protocol):
    """The place that keeps the versions of one artifact. A version is a folder `v-NAME`."""

    def read_manifest(self) -> bytes | None:
        """Return the manifest, or None if nothing is published.

        Raises:
            UnreachableError: the store did not answer.
        """

    def begin(self) -> bytes | None:
        """Return the manifest at the beginning of a publication; `commit` refuses to replace another one."""

    def sizes(self, version: str) -> dict[str, int]:
        """Return the size in bytes of each file of a version, by name."""

    def file(self, version: str, name: str, entry: FileEntry) -> Path:
        """Return the local path of a file after a check of its bytes."""

    def commit(
        self,
        staging: Path,
        content: str,
        files: Mapping[str, FileEntry],
        manifest_of: Callable[[str], bytes],
        previous: str | None,
    ) -> bytes:
        """Store the staged files as a version, make its manifest current, then drop versions that no reader pins.

        `content` is the digest that the version's name begins with, `manifest_of` gives the manifest for a version's
        name, and `previous` is the version that the manifest named at `begin`.

        Returns:
            The manifest that is now current.
        """


def store_at(path: Path) -> Store:
    """Return the store of the artifact at `path`."""
    if not is_remote(path):
        return LocalStore(path)
    from lm.remote_store import RemoteStore  # needs fsspec

    return RemoteStore(path)
