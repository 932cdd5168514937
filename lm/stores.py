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
        """The manifest, None where nothing is published.

        Raises:
            UnreachableError: the store did not answer.
        """

    def begin(self) -> bytes | None:
        """The manifest at the beginning of a publication, which `commit` refuses to replace by then another."""

    def sizes(self, version: str) -> dict[str, int]:
        """The size in bytes of each file of a version, by name."""

    def file(self, version: str, name: str, entry: FileEntry) -> Path:
        """The path on this machine of a file whose bytes were checked."""

    def commit(
        self,
        staging: Path,
        content: str,
        files: Mapping[str, FileEntry],
        manifest_of: Callable[[str], bytes],
        previous: str | None,
    ) -> bytes:
        """Make the staged files a version, then its manifest the current one, then drop versions that no reader pins.

        `content` is the digest that the version's name begins with, `manifest_of` gives the manifest for a version's
        name, and `previous` is the version that the manifest named at `begin`.

        Returns:
            The manifest that is current now.
        """


def store_at(path: Path) -> Store:
    """The store of the artifact at `path`."""
    if not is_remote(path):
        return LocalStore(path)
    from lm.remote_store import RemoteStore  # needs fsspec

    return RemoteStore(path)
