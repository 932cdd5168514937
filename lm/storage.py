"""Artifacts: folders of files that are published whole or not at all, on a local disk or in an object store.

    TARGET/manifest.json     the commit point: replaced atomically, last
    TARGET/v-<digest>/…      the files of one version, named by their content
    WORK/.lock               held by the one process of this machine that publishes there
    WORK/.staging-…/         files on their way; swept by the next publication

WORK is TARGET itself on a local disk, and a folder of the cache for a URL (`lm.locations.workspace`).

Decisions:
- The manifest holds no time, host or user: the same inputs, configuration and code give the same bytes.
- A reader pins the version that its manifest named. The version before the current one stays until the next
  publication, so a reader survives one replacement.
- The sha256 of a file is checked when the file is first asked for, since Arrow, safetensors and fastText load a
  flipped bit without a word.
- Publishing what is already there rewrites nothing; publishing over a damaged version repairs it.
- Where files lie is one store's affair: `lm.local_store` or `lm.remote_store`.
"""

from __future__ import annotations

import fcntl
import fnmatch
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from lm import __version__
from lm.errors import ConflictError, InputError, IntegrityError, NoSpaceError
from lm.local_store import LocalStore, walk
from lm.locations import is_remote, locate, workspace
from lm.stored_files import MANIFEST, STAGING, FileEntry, is_no_space, sha256_of

__all__ = [
    "MANIFEST", "Artifact", "FileEntry", "Publication", "find_whole", "fingerprint", "is_no_space", "make",
    "open_artifact", "publish", "sha256_of", "write_json",
]  # fmt: skip

_FORMAT = "loam-artifact/1"
_LOCK = ".lock"
_VERSION = re.compile(r"[0-9a-f]{16}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE_NAME_PART = re.compile(r"(?!\.\.?$)[^/\\\0]+")


class Store(Protocol):
    """Where the versions of one artifact are kept."""

    def read_manifest(self) -> bytes | None:
        """The manifest, None where nothing is published."""

    def begin(self) -> bytes | None:
        """The manifest at the beginning of a publication; `commit` refuses where it is another one by then."""

    def sizes(self, version: str) -> dict[str, int]:
        """The size in bytes of each file of a version, by name."""

    def file(self, version: str, name: str, entry: FileEntry) -> Path:
        """The path on this machine of a file whose bytes were checked."""

    def commit(
        self, staging: Path, version: str, files: Mapping[str, FileEntry], manifest: bytes, previous: str | None
    ) -> None:
        """Make the staged files a version, then the manifest the current one, then drop versions that nobody pins."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One pinned version of a published folder.

    `digest` (sha256 of the manifest) is its identity, to be put into the `inputs` of what is made from it.
    """

    path: Path
    digest: str
    kind: str
    version: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    code: str
    summary: Mapping[str, Any]
    files: Mapping[str, FileEntry]

    @property
    def folder(self) -> Path:
        """The folder that holds this version's files; in an object store a URL, of which `file` brings copies."""
        return self.path / f"v-{self.version}"

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(entry.size_bytes for entry in self.files.values())

    def names(self, pattern: str = "*") -> list[str]:
        """The sorted names of the files that match a shell pattern."""
        return sorted(name for name in self.files if fnmatch.fnmatchcase(name, pattern))

    def file(self, name: str) -> Path:
        """The path of one file on this machine, after its bytes were checked against the manifest.

        Raises:
            IntegrityError: the file is missing or its bytes changed; or the manifest does not list it.
        """
        entry = self.files.get(name)
        if entry is None:
            raise IntegrityError(f"{self.path / MANIFEST}: lists no file '{name}'; it has {', '.join(self.names())}")
        return _store(self.path).file(self.version, name, entry)

    def fingerprint(self) -> str:
        """What `fingerprint(...)` gave for the work that made this artifact."""
        return fingerprint(self.kind, self.config, self.inputs, self.code)


@dataclass(slots=True)
class Publication:
    """What `publish` yields: the folder to write into, and the counts to publish with it."""

    path: Path
    summary: dict[str, Any] = field(default_factory=dict)
    _artifact: Artifact | None = None

    @property
    def artifact(self) -> Artifact:
        """The published artifact, once the `publish` block has ended."""
        if self._artifact is None:
            raise RuntimeError("an artifact exists only after its publish block has ended without an error")
        return self._artifact


def fingerprint(kind: str, config: Mapping[str, Any], inputs: Mapping[str, str], code: str) -> str:
    """The identity of a piece of work before it is done: sha256 of its kind, configuration, input digests and code."""
    return _sha256_of_json({"kind": kind, "config": config, "inputs": inputs, "code": code, "loam": __version__})


def find_whole(target: Path | str, wanted: str) -> Artifact | None:
    """The artifact at `target` if it is whole and its work has the fingerprint `wanted`; None means: do the work."""
    try:
        artifact = open_artifact(target)
    except (InputError, IntegrityError):
        return None
    return artifact if artifact.fingerprint() == wanted else None


def open_artifact(target: Path | str, *, kind: str | None = None, digest: str | None = None) -> Artifact:
    """Open the current version and check that exactly the listed files are there, each with its size.

    Raises:
        InputError: nothing is published at `target`, or it is another kind of artifact.
        IntegrityError: a file is missing, surplus or of the wrong size, the manifest is damaged, or its digest is not
        `digest`.
    """
    path = locate(target)
    manifest_path = path / MANIFEST
    data = _store(path).read_manifest()
    if data is None:
        raise InputError(f"{path}: no artifact here ({MANIFEST} is missing)")
    artifact = _parse_manifest(path, data)
    if kind is not None and artifact.kind != kind:
        raise InputError(f"{path}: is a '{artifact.kind}' artifact, expected '{kind}'")
    if digest is not None and artifact.digest != digest:
        raise IntegrityError(f"{manifest_path}: digest is {artifact.digest}, expected {digest}")
    _check_listing(artifact)
    return artifact


@contextmanager
def publish(
    target: Path | str, *, kind: str, config: Mapping[str, Any], inputs: Mapping[str, str], code: str
) -> Iterator[Publication]:
    """Publish a folder atomically: write files below `publication.path`; leaving the block without an error commits.

    The target stays locked against other publications of this machine for as long as the block runs. After an error, a
    signal or a full disk the version published before is untouched and the files written here are gone.

    Raises:
        ConflictError: another process publishes at `target`, or another machine has done so meanwhile; the message
        names it.
        NoSpaceError: the disk is full.
    """
    path = locate(target)
    work = workspace(path)
    with _locked(work, path):
        _sweep(work)
        store = _store(path)
        before = store.begin()
        staging = work / f"{STAGING}{secrets.token_hex(8)}"
        staging.mkdir()
        publication = Publication(staging)
        try:
            yield publication
            facts = {"kind": kind, "config": config, "inputs": inputs, "code": code, "summary": publication.summary}
            publication._artifact = _commit(store, path, before, staging, facts)
        except Exception as error:
            # One that tells the bytes came from a publication inside this one, and names its own path.
            if "bytes needed" in str(error) or not is_no_space(error):
                raise
            staged = sum(file.stat().st_size for file in walk(staging))
            free = shutil.disk_usage(work).free
            raise NoSpaceError(
                f"{work}: no space left on device; more than {staged:,} bytes needed, {free:,} free"
            ) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def make(
    target: Path | str,
    write: Callable[[Publication], None],
    *,
    kind: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    code: str,
) -> Artifact:
    """The artifact of this work: the one at `target` if it is whole already, else a new one that `write` fills."""
    whole = find_whole(target, fingerprint(kind, config, inputs, code))
    if whole is not None:
        return whole
    with publish(target, kind=kind, config=config, inputs=inputs, code=code) as publication:
        write(publication)
    return publication.artifact


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, so that equal values give equal bytes."""
    path.write_bytes(_json_bytes(value))


def _store(path: Path) -> Store:
    if not is_remote(path):
        return LocalStore(path)
    from lm.remote_store import RemoteStore

    return RemoteStore(path)


def _commit(store: Store, path: Path, before: bytes | None, staging: Path, facts: Mapping[str, Any]) -> Artifact:
    staged = {file.relative_to(staging).as_posix(): file for file in walk(staging)}
    files = {name: FileEntry(file.stat().st_size, sha256_of(file)) for name, file in staged.items()}
    listing = {name: {"size_bytes": entry.size_bytes, "sha256": entry.sha256} for name, entry in files.items()}
    version = _sha256_of_json(listing)[:16]
    manifest = _json_bytes({"format": _FORMAT, "loam": __version__, "version": version, "files": listing, **facts})
    store.commit(staging, version, files, manifest, _version_of(path, before))
    return _parse_manifest(path, manifest)


def _version_of(path: Path, manifest: bytes | None) -> str | None:
    try:
        return None if manifest is None else _parse_manifest(path, manifest).version
    except IntegrityError:
        return None


def _parse_manifest(path: Path, data: bytes) -> Artifact:
    try:
        raw = json.loads(data)
        if raw["format"] != _FORMAT:
            raise IntegrityError(f"{path / MANIFEST}: format is '{raw['format']}', expected '{_FORMAT}'")
        return Artifact(
            path=path,
            digest=hashlib.sha256(data).hexdigest(),
            kind=raw["kind"],
            version=_matched(_VERSION, raw["version"]),
            config=raw["config"],
            inputs=raw["inputs"],
            code=raw["code"],
            summary=raw["summary"],
            files={name: _entry(name, entry) for name, entry in raw["files"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{path / MANIFEST}: damaged manifest ({type(error).__name__}: {error})") from None


def _entry(name: str, entry: Mapping[str, Any]) -> FileEntry:
    """One line of a manifest, which may come from elsewhere: neither name nor digest may lead out of its folder."""
    if not all(_FILE_NAME_PART.fullmatch(part) for part in name.split("/")):
        raise ValueError(f"file name {name!r}")
    return FileEntry(int(entry["size_bytes"]), _matched(_SHA256, entry["sha256"]))


def _matched(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError(f"{value!r} is no {pattern.pattern}")
    return value


def _check_listing(artifact: Artifact) -> None:
    found = _store(artifact.path).sizes(artifact.version)
    manifest = artifact.path / MANIFEST
    for name, entry in sorted(artifact.files.items()):
        if name not in found:
            raise IntegrityError(f"{artifact.folder / name}: missing, though {manifest} lists it")
        if found[name] != entry.size_bytes:
            raise IntegrityError(f"{artifact.folder / name}: {found[name]:,} bytes, expected {entry.size_bytes:,}")
    surplus = sorted(found.keys() - artifact.files.keys())
    if surplus:
        raise IntegrityError(f"{artifact.folder / surplus[0]}: one file too many, {manifest} does not list it")


@contextmanager
def _locked(work: Path, path: Path) -> Iterator[None]:
    work.mkdir(parents=True, exist_ok=True)
    with (work / _LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(f"{path}: {_holder(lock)} is publishing here; wait for it or stop it") from None
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
    """Remove what killed publications left in their staging folders."""
    for leftover in work.glob(f"{STAGING}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _sha256_of_json(value: Any) -> str:
    return hashlib.sha256(_json_bytes(value)).hexdigest()
