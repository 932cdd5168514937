"""Artifacts in an object store: files are uploaded, and the manifest, written last, makes them a version.

Decisions:
- Two publications at once, from two machines: the manifest is written on the condition that it is still the one that
  the publication began with (`If-Match`, `If-None-Match`). The second is refused and names the winner's digest. A store
  without conditional writes is asked just before instead; in the moment between, the last manifest wins. Either way
  each manifest names a version of its own whose files are all there.
- What a killed publication uploaded lies in a version that no manifest names; the next publication removes it. Parts
  of a large upload that was killed are visible to no reader; let a lifecycle rule of the bucket abort them.
- A file is fetched when it is first asked for, into `cache_folder()/files/SHA256/NAME`: by content, so versions and
  homes share copies; through a temporary file and a rename, so processes may race. What was published here is there
  already.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm.errors import ConflictError, InputError, IntegrityError, NoSpaceError
from lm.local_store import cached_sha256
from lm.locations import cache_folder, explained
from lm.stored_files import MANIFEST, STAGING, FileEntry, is_no_space

_CHUNK_BYTES = 1 << 22
_BUCKET_PROTOCOLS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"})


class RemoteStore:
    """One artifact's prefix in a store."""

    def __init__(self, path: Any) -> None:
        self.path = path
        self._files: Any = path.fs
        self._root = str(path.path).rstrip("/")
        self._begun: bytes | None = None
        self._begun_tag: str | None = None

    def read_manifest(self) -> bytes | None:
        """The manifest, None where nothing is published."""
        with explained(self.path / MANIFEST):
            return self._now()

    def begin(self) -> bytes | None:
        """The manifest as a publication begins; what it is now is what `commit` expects still to be there."""
        with explained(self.path / MANIFEST):
            # The tag first: should the manifest change in between, the tag is the older one and the commit fails.
            self._begun_tag = self._tag()
            self._begun = self._now()
            if self._begun is None and self._has_buckets():
                self._require_bucket()
        return self._begun

    def sizes(self, version: str) -> dict[str, int]:
        """The size in bytes of each file of a version, by name."""
        return self._sizes_below(f"v-{version}")

    def file(self, version: str, name: str, entry: FileEntry) -> Path:
        """The path of this machine's copy of a file, fetched where there is none; its sha256 is checked.

        Raises:
            IntegrityError: the file is missing or its bytes changed.
            NoSpaceError: the disk is full.
        """
        copy = _copy_path(name, entry)
        if not _is_whole(copy, entry):
            self._fetch(f"v-{version}/{name}", copy, entry)
        return copy

    def commit(
        self, staging: Path, version: str, files: Mapping[str, FileEntry], manifest: bytes, previous: str | None
    ) -> None:
        """Upload the staged files, then write the manifest, then drop versions that nobody pins.

        Raises:
            ConflictError: another publication has come first.
        """
        if not self._is_intact(version, files):
            self._upload(staging, version, files)
        if self._begun != manifest:
            self._write_manifest(manifest, version, files)
        self._drop(keep={version, previous})
        for name, entry in files.items():
            _keep(staging / name, _copy_path(name, entry))

    def _has_buckets(self) -> bool:
        """Whether there are buckets, which we do not make, and no folders."""
        return not _BUCKET_PROTOCOLS.isdisjoint(_protocols(self._files))

    def _require_bucket(self) -> None:
        """Tell of a bucket that is not there before any work is done for it."""
        bucket = self._root.partition("/")[0]
        try:
            self._files.info(bucket)
        except FileNotFoundError:
            raise InputError(f"{self.path}: no bucket '{bucket}', expected one that exists") from None

    @property
    def _manifest(self) -> str:
        return f"{self._root}/{MANIFEST}"

    def _sizes_below(self, prefix: str) -> dict[str, int]:
        folder = f"{self._root}/{prefix}" if prefix else self._root
        with explained(self.path):
            try:
                found = self._files.find(folder, detail=True)
            except FileNotFoundError:
                return {}
        start = len(folder.strip("/")) + 1
        return {name.strip("/")[start:]: int(info["size"]) for name, info in found.items()}

    def _fetch(self, name: str, copy: Path, entry: FileEntry) -> None:
        """Bring one file here, under its name only once its bytes are right."""
        place = self.path / name
        partial = copy.with_name(f"{STAGING}{secrets.token_hex(8)}")
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            with explained(place):
                try:
                    digest = self._digest(name, partial)
                except FileNotFoundError:
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
        """The sha256 of a stored file, which is written to `copy` on the way."""
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
        with explained(self.path):
            return all(self._digest(f"v-{version}/{name}") == entry.sha256 for name, entry in files.items())

    def _upload(self, staging: Path, version: str, files: Mapping[str, FileEntry]) -> None:
        surplus = self.sizes(version).keys() - files.keys()
        with explained(self.path / f"v-{version}"):
            for name in sorted(files):
                place = f"{self._root}/v-{version}/{name}"
                if not self._has_buckets():
                    self._files.makedirs(place.rpartition("/")[0], exist_ok=True)
                self._files.put_file(str(staging / name), place)
            for name in sorted(surplus):
                self._files.rm_file(f"{self._root}/v-{version}/{name}")

    def _write_manifest(self, manifest: bytes, version: str, files: Mapping[str, FileEntry]) -> None:
        if self.sizes(version) != {name: entry.size_bytes for name, entry in files.items()}:
            raise self._lost()  # another publication, which came first, has dropped them
        with explained(self.path / MANIFEST):
            try:
                self._write_if_unchanged(manifest)
            except OSError as error:
                # A refused condition; or an answer that was lost on its way back, after the store had obeyed.
                if self._now() == manifest:
                    return
                if self._tag() != self._begun_tag:
                    raise self._lost() from None
                raise error from None

    def _write_if_unchanged(self, manifest: bytes) -> None:
        if "s3" not in _protocols(self._files):
            if self._now() != self._begun:
                raise self._lost()
            self._files.pipe_file(self._manifest, manifest)
        elif self._begun is None:
            self._files.pipe_file(self._manifest, manifest, mode="create")
        else:
            self._files.pipe_file(self._manifest, manifest, IfMatch=self._begun_tag)

    def _tag(self) -> str | None:
        """What the store calls the manifest's present content, where it calls it anything."""
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
        which = "no manifest any more" if winner is None else f"digest {hashlib.sha256(winner).hexdigest()}"
        return ConflictError(f"{self.path}: another publication came first: {which}; open that one, or run again")

    def _drop(self, keep: set[str | None]) -> None:
        kept = tuple(f"v-{version}/" for version in keep if version)
        with explained(self.path):
            for name in sorted(self._sizes_below("")):
                if name.startswith("v-") and not name.startswith(kept):
                    self._files.rm_file(f"{self._root}/{name}")


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def _copy_path(name: str, entry: FileEntry) -> Path:
    return cache_folder() / "files" / entry.sha256[:2] / entry.sha256 / Path(name).name


def _keep(staged: Path, copy: Path) -> None:
    """Move what was just uploaded to where its copy would be fetched to; the next step asks for it at once."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    staged.replace(copy)


def _is_whole(copy: Path, entry: FileEntry) -> bool:
    """Whether a copy is there with the right bytes; one that a disk has damaged is fetched again."""
    try:
        stat = copy.stat()
    except FileNotFoundError:
        return False
    return stat.st_size == entry.size_bytes and (cached_sha256(copy, stat.st_size, stat.st_mtime_ns) == entry.sha256)
