"""Artifacts in an object store: files are uploaded, then a conditional write of the manifest commits them.

    TARGET/manifest.json            names the current version
    TARGET/v-<content>-<nonce>/…    the files that one publication uploaded
    TARGET/v-….superseded           in stores without conditional writes: the mark of a version that was current before

Decisions:
- Each publication uploads into a folder of its own, so no publication deletes or overwrites another's files.
- The manifest is written on the condition that it is still the one that the publication began with (`If-Match`,
  `If-None-Match`). The second of two publications is refused and names the winner's digest. The nonce makes every
  manifest's ETag unique, so the condition holds even if an earlier manifest's content comes back.
- A publication drops versions only after its own manifest is current: those that it saw at `begin`, but for the one
  that was current then, which readers pin. A publication that had begun by then can no longer commit.
- A store without conditional writes is read just before the write instead; in the moment between, the last manifest
  wins. There only versions that a manifest has named and a later one has replaced are dropped, so the files of a killed
  or overtaken publication stay. Each manifest names files that are all there.
- Publishing the current manifest again drops nothing, because it stops no other publication from committing.
- Parts of a large upload that was killed are visible to no reader; let a lifecycle rule of the bucket abort them.
- A file is fetched on first use into `cache_folder()/files/SHA256/NAME`. Versions and homes share copies by content; a
  temporary file and a rename make concurrent fetches safe. Files published from this machine need no fetch.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lm.errors import AbsentError, ConflictError, InputError, IntegrityError, LoamError, NoSpaceError, UnreachableError
from lm.local_store import cached_sha256
from lm.locations import cache_folder
from lm.manifest import manifest_digest
from lm.store_access import is_bucket, list_files, protocols, request
from lm.stored_files import MANIFEST, STAGING, FileEntry, is_no_space

_CHUNK_BYTES = 1 << 22
_SUPERSEDED = ".superseded"
_log = logging.getLogger(__name__)


class RemoteStore:
    """The prefix of one artifact in a store."""

    def __init__(self, path: Any) -> None:
        self.path = path
        self._files: Any = path.fs
        self._root = str(path.path).rstrip("/")
        self._begun: bytes | None = None
        self._begun_tag: str | None = None
        self._seen: frozenset[str] = frozenset()

    def read_manifest(self) -> bytes | None:
        """Return the manifest, or None if nothing is published.

        Raises:
            UnreachableError: the store did not answer.
        """
        return request(self.path / MANIFEST, self._now)

    def begin(self) -> bytes | None:
        """Return the manifest that `commit` replaces on the condition that it is still current."""
        # The tag comes first: should the manifest change in between, the tag is the older one and the commit fails.
        self._begun_tag = request(self.path / MANIFEST, self._tag)
        self._begun = self.read_manifest()
        if self._begun is None and is_bucket(self._files):
            self._require_bucket()
        self._seen = frozenset(name for name in list_files(self.path) if name.startswith("v-"))
        return self._begun

    def sizes(self, version: str) -> dict[str, int]:
        """Return the size in bytes of each file of a version, by name."""
        return list_files(self.path / f"v-{version}")

    def file(self, version: str, name: str, entry: FileEntry) -> Path:
        """Return the path of the local copy of a file, fetched if absent, after a check of its sha256.

        Raises:
            IntegrityError: the file is missing or its bytes changed.
            NoSpaceError: the disk is full.
            UnreachableError: the store did not answer.
        """
        copy = _copy_path(name, entry)
        if not _is_whole(copy, entry):
            self._fetch(f"v-{version}/{name}", copy, entry)
        return copy

    def commit(
        self,
        staging: Path,
        content: str,
        files: Mapping[str, FileEntry],
        manifest_of: Callable[[str], bytes],
        previous: str | None,
    ) -> bytes:
        """Upload the staged files, write the manifest, then drop versions that no reader pins.

        Raises:
            ConflictError: another publication came first.
            UnreachableError: the store did not answer.
        """
        if previous is not None and self._begun == manifest_of(previous) and self._is_intact(previous, files):
            manifest = self._begun
            if self.read_manifest() != manifest:
                raise self._lost()
        else:
            version = f"{content}-{secrets.token_hex(4)}"
            manifest = manifest_of(version)
            self._upload(staging, version, files)
            self._mark_superseded(previous)
            request(self.path / MANIFEST, lambda: self._write_manifest(manifest))
            self._drop(keep={version, previous})
        for name, entry in files.items():
            _keep(staging / name, _copy_path(name, entry))
        return manifest

    def _require_bucket(self) -> None:
        """Refuse a bucket that does not exist, before any work is done for it."""
        bucket = self._root.partition("/")[0]
        try:
            request(self.path, lambda: self._files.info(bucket))
        except AbsentError:
            raise InputError(f"{self.path}: no bucket '{bucket}', expected one that exists") from None

    @property
    def _manifest(self) -> str:
        return f"{self._root}/{MANIFEST}"

    @property
    def _is_conditional(self) -> bool:
        """Return whether the store supports conditional writes through fsspec."""
        return "s3" in protocols(self._files)

    def _fetch(self, name: str, copy: Path, entry: FileEntry) -> None:
        """Fetch one file, and name the copy only after its bytes were verified."""
        place = self.path / name
        partial = copy.with_name(f"{STAGING}{secrets.token_hex(8)}")
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                digest = request(place, lambda: self._digest(name, partial))
            except AbsentError:
                raise IntegrityError(f"{place}: missing, though {self.path / MANIFEST} lists it") from None
            size_bytes = partial.stat().st_size
            if size_bytes != entry.size_bytes:
                raise IntegrityError(f"{place}: {size_bytes:,} bytes, expected {entry.size_bytes:,}")
            if digest != entry.sha256:
                raise IntegrityError(f"{place}: sha256 is {digest}, expected {entry.sha256}")
            partial.replace(copy)
        except OSError as error:
            if not is_no_space(error):
                raise
            raise NoSpaceError(
                f"{partial.parent}: no space left on device for {place}; {entry.size_bytes:,} bytes needed"
            ) from None
        finally:
            partial.unlink(missing_ok=True)

    def _digest(self, name: str, copy: Path | None = None) -> str:
        """Return the sha256 of a stored file, and write its bytes to `copy`."""
        digest = hashlib.sha256()
        with (
            self._files.open(f"{self._root}/{name}", "rb", block_size=_CHUNK_BYTES, cache_type="readahead") as stream,
            Path(copy or os.devnull).open("wb") as out,
        ):
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
                out.write(chunk)
        return digest.hexdigest()

    def _is_intact(self, version: str, files: Mapping[str, FileEntry]) -> bool:
        if self.sizes(version) != {name: entry.size_bytes for name, entry in files.items()}:
            return False
        try:
            return all(self._digest_of(f"v-{version}/{name}") == entry.sha256 for name, entry in files.items())
        except AbsentError:
            return False  # another publication has dropped the version meanwhile

    def _digest_of(self, name: str) -> str:
        return request(self.path / name, lambda: self._digest(name))

    def _upload(self, staging: Path, version: str, files: Mapping[str, FileEntry]) -> None:
        for name in sorted(files):
            place = f"{self._root}/v-{version}/{name}"

            def put(source: str = str(staging / name), place: str = place) -> None:
                if not is_bucket(self._files):
                    self._files.makedirs(place.rpartition("/")[0], exist_ok=True)
                self._files.put_file(source, place)

            request(self.path / f"v-{version}/{name}", put)

    def _write_manifest(self, manifest: bytes) -> None:
        try:
            self._write_if_unchanged(manifest)
        except LoamError:
            raise
        except Exception:
            # The condition failed, or the response to a successful write was lost.
            if self._now() == manifest:
                return
            if self._tag() != self._begun_tag:
                raise self._lost() from None
            raise

    def _write_if_unchanged(self, manifest: bytes) -> None:
        if not self._is_conditional:
            now = self._now()
            if now == manifest:
                return  # an earlier attempt succeeded, and its response was lost
            if now != self._begun:
                raise self._lost()
            self._files.pipe_file(self._manifest, manifest)
        elif self._begun_tag is None:
            self._files.pipe_file(self._manifest, manifest, mode="create")
        else:
            self._files.pipe_file(self._manifest, manifest, IfMatch=self._begun_tag)

    def _mark_superseded(self, version: str | None) -> None:
        """Record, where a condition cannot stop an overtaken publication, that a manifest has named `version`."""
        if version is not None and not self._is_conditional:
            mark = f"v-{version}{_SUPERSEDED}"
            request(self.path / mark, lambda: self._files.pipe_file(f"{self._root}/{mark}", b""))

    def _tag(self) -> str | None:
        """Return the manifest's ETag, or None in a store without ETags."""
        try:
            tag: str | None = self._files.info(self._manifest).get("ETag")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return tag

    def _now(self) -> bytes | None:
        try:
            content: bytes = self._files.cat_file(self._manifest)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return content

    def _lost(self) -> ConflictError:
        winner = self._now()
        try:
            which = "no manifest any more" if winner is None else f"digest {manifest_digest(winner)}"
        except (ValueError, KeyError, TypeError, AttributeError):
            which = "a damaged manifest"
        return ConflictError(f"{self.path}: another publication came first: {which}; open that one, or run again")

    def _drop(self, keep: set[str | None]) -> None:
        """Remove versions that existed at `begin` and that no manifest names now or can name later."""
        kept = {f"v-{version}" for version in keep}
        marked = {name.removesuffix(_SUPERSEDED) for name in self._seen if name.endswith(_SUPERSEDED)}
        # A version's mark goes last, so that a publication killed here leaves it to the next one.
        for name in sorted(self._seen, key=lambda name: (name.endswith(_SUPERSEDED), name)):
            folder = name.partition("/")[0].removesuffix(_SUPERSEDED)
            if folder not in kept and (self._is_conditional or folder in marked):
                self._remove(name)

    def _remove(self, name: str) -> None:
        """Delete one file. A failure is only logged, because the publication is complete."""
        try:
            request(self.path / name, lambda: self._files.rm_file(f"{self._root}/{name}"))
        except AbsentError:
            pass
        except (InputError, UnreachableError) as error:
            _log.warning("%s; an old version was not deleted", error)


def _copy_path(name: str, entry: FileEntry) -> Path:
    return cache_folder() / "files" / entry.sha256[:2] / entry.sha256 / Path(name).name


def _keep(staged: Path, copy: Path) -> None:
    """Move an uploaded file to the place of its local copy, which the next step uses."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    staged.replace(copy)


def _is_whole(copy: Path, entry: FileEntry) -> bool:
    """Return whether a copy exists with the right bytes; a damaged copy is fetched again."""
    try:
        stat = copy.stat()
    except FileNotFoundError:
        return False
    return stat.st_size == entry.size_bytes and (cached_sha256(copy, stat.st_size, stat.st_mtime_ns) == entry.sha256)
