"""Artifacts: folders of files that are published whole or not at all, on a local disk or in an object store.

    TARGET/manifest.json     the commit point: replaced atomically, last
    TARGET/v-<version>/…     the files of one version
    WORK/.lock               held by the one process of this machine that publishes there
    WORK/.staging-…/         files of an unfinished publication; swept by the next one
    WORK/.finished-…/        finished files that a store has not taken yet; published by the next run of the same work

WORK is TARGET itself on a local disk, and a folder of the cache for a URL (`lm.locations.workspace`).

Decisions:
- The manifest holds no time, host or user: the same inputs, configuration and code give the same digest, and on a disk
  the same bytes.
- A reader pins the version that its manifest named. The version before the current one stays until the next
  publication, so a reader survives one replacement.
- The sha256 of a file is checked when the file is first asked for, since Arrow, safetensors and fastText load a
  flipped bit without an error.
- Publishing what is already there rewrites nothing; publishing over a damaged version repairs it.
- Only a store's own answer "absent" means that nothing is published. A store that does not answer raises
  `UnreachableError`, so finished work is not repeated.
- `lm.local_store` and `lm.remote_store` decide where files lie.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from lm.artifact import Artifact, check_listing, fingerprint, parse_manifest
from lm.code_version import code_digest
from lm.errors import AbsentError, ConflictError, InputError, IntegrityError, NoSpaceError
from lm.local_store import walk
from lm.locations import is_remote, locate, workspace
from lm.locks import take
from lm.manifest import content_of, json_bytes, listing_of, manifest_bytes
from lm.stored_files import MANIFEST, STAGING, FileEntry, is_no_space, sha256_of
from lm.stores import Store, store_at

__all__ = [
    "MANIFEST", "Artifact", "FileEntry", "Publication", "find_artifact", "find_whole", "fingerprint", "is_no_space",
    "make", "open_artifact", "publish", "sha256_of", "write_json",
]  # fmt: skip

_LOCK = ".lock"
_FINISHED = ".finished-"


@dataclass(slots=True)
class Publication:
    """An unfinished publication: the folder to write into, and the counts to publish with its files."""

    path: Path
    summary: dict[str, Any] = field(default_factory=dict)
    _artifact: Artifact | None = None

    @property
    def artifact(self) -> Artifact:
        """The published artifact, once the `publish` block has ended."""
        if self._artifact is None:
            raise RuntimeError("an artifact exists only after its publish block has ended without an error")
        return self._artifact


def open_artifact(target: Path | str, *, kind: str | None = None, digest: str | None = None) -> Artifact:
    """Open the current version and check that exactly the listed files are there, each with its size.

    Raises:
        AbsentError: nothing is published at `target`.
        InputError: the artifact is of another kind.
        IntegrityError: a file is missing, surplus or of the wrong size, the manifest is damaged, or its digest is not
        `digest`.
        UnreachableError: the store did not answer.
    """
    path = locate(target)
    artifact = _current(path)
    if artifact is None:
        raise AbsentError(f"{path}: no artifact here ({MANIFEST} is missing)")
    if kind is not None and artifact.kind != kind:
        raise InputError(f"{path}: is a '{artifact.kind}' artifact, expected '{kind}'")
    if digest is not None and artifact.digest != digest:
        raise IntegrityError(f"{path / MANIFEST}: digest is {artifact.digest}, expected {digest}")
    return artifact


def find_artifact(target: Path | str) -> Artifact | None:
    """Return the artifact at `target`, or None if nothing is published.

    Raises:
        IntegrityError, UnreachableError: as `open_artifact`.
    """
    return _current(locate(target))


def find_whole(target: Path | str, wanted: str) -> Artifact | None:
    """Return the artifact at `target` if it is whole and has the fingerprint `wanted`, else None.

    Finished files of that work that a store could not take are published now.

    Raises:
        UnreachableError: the store did not answer, so it is unknown whether the work is done.
    """
    path = locate(target)
    try:
        artifact = _current(path)
    except IntegrityError:
        artifact = None
    if artifact is not None and artifact.fingerprint() == wanted:
        return artifact
    return _publish_finished(path, wanted) if is_remote(path) else None


@contextmanager
def publish(
    target: Path | str, *, kind: str, config: Mapping[str, Any], inputs: Mapping[str, str], code: str
) -> Iterator[Publication]:
    """Publish a folder atomically: write files below `publication.path`; leaving the block without an error commits.

    The block holds a lock against other publications from this machine. An error, a signal or ENOSPC leaves the
    published version untouched and removes the files written here. Finished files that a store could not take stay in
    the work folder, for `find_whole`.

    Raises:
        ConflictError: another process publishes at `target`, or another machine published since the block began; the
        message names the process or the digest.
        NoSpaceError: the disk is full.
        UnreachableError: the store did not answer.
    """
    path = locate(target)
    work = workspace(path)
    with _locked(work, path):
        store = store_at(path)
        before = store.begin()
        _sweep(work)
        staging = work / f"{STAGING}{secrets.token_hex(8)}"
        staging.mkdir()
        publication = Publication(staging)
        try:
            yield publication
            facts = {"kind": kind, "config": config, "inputs": inputs, "code": code, "summary": publication.summary}
            files = _files_in(staging)
            if is_remote(path):
                staging = _set_aside(staging, files, facts)
            publication._artifact = _commit(store, path, before, staging, files, facts)
            _discard(staging)
        except ConflictError:
            _discard(staging)
            raise
        except Exception as error:
            # A nested publication has reported its own path and size already.
            if "bytes needed" in str(error) or not is_no_space(error):
                raise
            staged = sum(file.stat().st_size for file in walk(staging))
            free = shutil.disk_usage(work).free
            raise NoSpaceError(
                f"{work}: no space left on device; more than {staged:,} bytes needed, {free:,} free"
            ) from error
        finally:
            shutil.rmtree(publication.path, ignore_errors=True)


def make(
    target: Path | str,
    write: Callable[[Publication], None],
    *,
    kind: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    code: str | None = None,
) -> Artifact:
    """Return the artifact at `target` if it is whole and of this work, else publish a new one that `write` fills.

    `code` is the digest of the code behind `write`; None lets `lm.code_version` compute it.
    """
    code = code_digest(write) if code is None else code
    whole = find_whole(target, fingerprint(kind, config, inputs, code))
    if whole is not None:
        return whole
    with publish(target, kind=kind, config=config, inputs=inputs, code=code) as publication:
        write(publication)
    return publication.artifact


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, so that equal values give equal bytes."""
    path.write_bytes(json_bytes(value))


def _current(path: Path) -> Artifact | None:
    """Return the version that the manifest names, its listing verified, or None if nothing is published."""
    store = store_at(path)
    data = store.read_manifest()
    while data is not None:
        artifact = parse_manifest(path, data)
        try:
            check_listing(artifact)
        except IntegrityError:
            # Two publications in between may have dropped the version that the manifest named.
            now = store.read_manifest()
            if now == data:
                raise
            data = now
        else:
            return artifact
    return None


def _files_in(staging: Path) -> dict[str, FileEntry]:
    return {
        file.relative_to(staging).as_posix(): FileEntry(file.stat().st_size, sha256_of(file)) for file in walk(staging)
    }


def _commit(
    store: Store,
    path: Path,
    before: bytes | None,
    staging: Path,
    files: Mapping[str, FileEntry],
    facts: Mapping[str, Any],
) -> Artifact:
    def manifest_of(version: str) -> bytes:
        return manifest_bytes(version, files, facts)

    return parse_manifest(path, store.commit(staging, content_of(files), files, manifest_of, _version_of(path, before)))


def _version_of(path: Path, manifest: bytes | None) -> str | None:
    try:
        return None if manifest is None else parse_manifest(path, manifest).version
    except IntegrityError:
        return None


def _set_aside(staging: Path, files: Mapping[str, FileEntry], facts: Mapping[str, Any]) -> Path:
    """Rename the folder of finished files by the fingerprint of their work, until the store has taken them."""
    wanted = fingerprint(facts["kind"], facts["config"], facts["inputs"], facts["code"])
    finished = staging.with_name(f"{_FINISHED}{wanted}")
    _note(finished).write_bytes(json_bytes({"files": listing_of(files), "facts": facts}))
    staging.rename(finished)
    return finished


def _publish_finished(path: Path, wanted: str) -> Artifact | None:
    """Publish the finished files of the work with the fingerprint `wanted`; return None if there are none."""
    work = workspace(path)
    finished = work / f"{_FINISHED}{wanted}"
    if not finished.is_dir():
        return None
    with _locked(work, path):
        note, files = json.loads(_note(finished).read_bytes()), _files_in(finished)
        if note["files"] != listing_of(files):  # incomplete after a crash of the machine
            _discard(finished)
            return None
        store = store_at(path)
        before = store.begin()
        artifact = _commit(store, path, before, finished, files, note["facts"])
        _discard(finished)
    return artifact


def _note(finished: Path) -> Path:
    return finished.with_name(f"{finished.name}.json")


def _discard(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _note(folder).unlink(missing_ok=True)


@contextmanager
def _locked(work: Path, path: Path) -> Iterator[None]:
    work.mkdir(parents=True, exist_ok=True)
    with (work / _LOCK).open("a+") as lock:
        if not take(lock):
            raise ConflictError(f"{path}: {_holder(lock)} is publishing here; wait for it or stop it")
        lock.seek(0)
        lock.truncate()
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def _holder(lock: IO[str]) -> str:
    lock.seek(0)
    return lock.read() or "another process"


def _sweep(work: Path) -> None:
    """Remove the files of killed publications, and finished files that this publication replaces."""
    for prefix in (STAGING, _FINISHED):
        for leftover in work.glob(f"{prefix}*"):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()
