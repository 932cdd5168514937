"""Artifacts: folders of files that are published whole or not at all.

    TARGET/manifest.json     the commit point: replaced atomically, last
    TARGET/v-<digest>/…      the files of one version, named by their content
    TARGET/.lock             held by the one process that publishes here
    TARGET/.staging-…/       files on their way; swept by the next publication

Decisions:
- The manifest holds no time, host or user: the same inputs, configuration and code give the same bytes.
- A reader pins the version that its manifest named. The version before the current one stays until the next
  publication, so a reader survives one replacement.
- The sha256 of a file is checked when the file is first asked for, since Arrow, safetensors and fastText load a
  flipped bit without a word.
- Publishing what is already there rewrites nothing; publishing over a damaged version repairs it.

Not covered: object stores. The scheme (version folder first, manifest last) is made for them, but the lock and the
renames here are a local disk's.
"""

from __future__ import annotations

import errno
import fcntl
import fnmatch
import hashlib
import json
import os
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from lm import __version__
from lm.errors import ConflictError, InputError, IntegrityError, NoSpaceError

MANIFEST = "manifest.json"
_FORMAT = "loam-artifact/1"
_LOCK = ".lock"
_STAGING = ".staging-"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a manifest: its size and content."""

    size_bytes: int
    sha256: str


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
        """The folder that holds this version's files."""
        return self.path / f"v-{self.version}"

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(entry.size_bytes for entry in self.files.values())

    def names(self, pattern: str = "*") -> list[str]:
        """The sorted names of the files that match a shell pattern."""
        return sorted(name for name in self.files if fnmatch.fnmatchcase(name, pattern))

    def file(self, name: str) -> Path:
        """The path of one file, after its bytes were checked against the manifest.

        Raises:
            IntegrityError: the file is missing or its bytes changed; or the manifest does not list it.
        """
        entry = self.files.get(name)
        if entry is None:
            raise IntegrityError(f"{self.path / MANIFEST}: lists no file '{name}'; it has {', '.join(self.names())}")
        path = self.folder / name
        try:
            stat = path.stat()
        except FileNotFoundError:
            raise IntegrityError(f"{path}: missing, though {self.path / MANIFEST} lists it") from None
        if stat.st_size != entry.size_bytes:
            raise IntegrityError(f"{path}: {stat.st_size:,} bytes, expected {entry.size_bytes:,}")
        actual = _cached_sha256(path, stat.st_size, stat.st_mtime_ns)
        if actual != entry.sha256:
            raise IntegrityError(f"{path}: sha256 is {actual}, expected {entry.sha256}")
        return path

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
    path = Path(target)
    manifest_path = path / MANIFEST
    try:
        data = manifest_path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no artifact here ({MANIFEST} is missing)") from None
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

    The target stays locked against other publications for as long as the block runs. After an error, a signal or a
    full disk the version published before is untouched and the files written here are gone.

    Raises:
        ConflictError: another process publishes at `target`; the message names it.
        NoSpaceError: the disk is full.
    """
    path = Path(target)
    with _locked(path):
        _sweep(path)
        staging = path / f"{_STAGING}{secrets.token_hex(8)}"
        staging.mkdir()
        publication = Publication(staging)
        try:
            yield publication
            facts = {"kind": kind, "config": config, "inputs": inputs, "code": code, "summary": publication.summary}
            publication._artifact = _commit(path, staging, facts)
        except Exception as error:
            if not is_no_space(error):
                raise
            staged = sum(file.stat().st_size for file in _walk(staging))
            free = shutil.disk_usage(path).free
            raise NoSpaceError(
                f"{path}: no space left on device; more than {staged:,} bytes needed, {free:,} free"
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


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in lower-case hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, so that equal values give equal bytes."""
    path.write_bytes(_json_bytes(value))


def is_no_space(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, is a full disk's; libraries in Rust and C++ tell it only in words."""
    while error is not None:
        if isinstance(error, NoSpaceError):
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return True
        if "no space left on device" in str(error).lower():
            return True
        error = error.__cause__ or error.__context__
    return False


def _commit(path: Path, staging: Path, facts: Mapping[str, Any]) -> Artifact:
    files = {file.relative_to(staging).as_posix(): file for file in _walk(staging)}
    listing = {name: {"size_bytes": file.stat().st_size, "sha256": sha256_of(file)} for name, file in files.items()}
    version = _sha256_of_json(listing)[:16]
    manifest = _json_bytes({"format": _FORMAT, "loam": __version__, "version": version, "files": listing, **facts})
    previous = _current_version(path)
    _move_into_place(staging, path / f"v-{version}", files, keep_intact=_is_intact(path, version, listing))
    if not _same_bytes(path / MANIFEST, manifest):
        _replace_file(path / MANIFEST, manifest)
    _drop_versions(path, keep={version, previous})
    return _parse_manifest(path, manifest)


def _move_into_place(staging: Path, folder: Path, files: Mapping[str, Path], keep_intact: bool) -> None:
    """Make `folder` hold the staged files: leave an intact one alone, replace what a crash or a flipped bit left."""
    if keep_intact:
        return
    for file in files.values():
        _fsync(file)
    for directory in sorted({file.parent for file in files.values()} | {staging}):
        _fsync(directory)
    if folder.exists():
        aside = folder.with_name(f"{_STAGING}{secrets.token_hex(8)}")
        folder.rename(aside)
        shutil.rmtree(aside)
    staging.rename(folder)
    _fsync(folder.parent)


def _is_intact(path: Path, version: str, listing: Mapping[str, Mapping[str, Any]]) -> bool:
    folder = path / f"v-{version}"
    found = {file.relative_to(folder).as_posix(): file for file in _walk(folder)}
    return found.keys() == listing.keys() and all(
        sha256_of(file) == listing[name]["sha256"] for name, file in found.items()
    )


def _replace_file(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"{_STAGING}{path.name}")
    with temporary.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    _fsync(path.parent)


def _parse_manifest(path: Path, data: bytes) -> Artifact:
    try:
        raw = json.loads(data)
        if raw["format"] != _FORMAT:
            raise IntegrityError(f"{path / MANIFEST}: format is '{raw['format']}', expected '{_FORMAT}'")
        return Artifact(
            path=path,
            digest=hashlib.sha256(data).hexdigest(),
            kind=raw["kind"],
            version=raw["version"],
            config=raw["config"],
            inputs=raw["inputs"],
            code=raw["code"],
            summary=raw["summary"],
            files={name: FileEntry(entry["size_bytes"], entry["sha256"]) for name, entry in raw["files"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{path / MANIFEST}: damaged manifest ({type(error).__name__}: {error})") from None


def _check_listing(artifact: Artifact) -> None:
    found = {file.relative_to(artifact.folder).as_posix(): file.stat().st_size for file in _walk(artifact.folder)}
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
def _locked(path: Path) -> Iterator[None]:
    path.mkdir(parents=True, exist_ok=True)
    with (path / _LOCK).open("a+") as lock:
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


def _sweep(path: Path) -> None:
    """Remove what killed publications left: their staging folders, and versions that no manifest names."""
    for leftover in path.glob(f"{_STAGING}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def _drop_versions(path: Path, keep: set[str | None]) -> None:
    for folder in path.glob("v-*"):
        if folder.name.removeprefix("v-") not in keep:
            shutil.rmtree(folder)


def _current_version(path: Path) -> str | None:
    try:
        return _parse_manifest(path, (path / MANIFEST).read_bytes()).version
    except (FileNotFoundError, IntegrityError):
        return None


def _walk(folder: Path) -> Iterator[Path]:
    yield from sorted(file for file in folder.rglob("*") if file.is_file())


def _same_bytes(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@lru_cache(maxsize=4096)
def _cached_sha256(path: Path, size_bytes: int, mtime_ns: int) -> str:
    return sha256_of(path)


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _sha256_of_json(value: Any) -> str:
    return hashlib.sha256(_json_bytes(value)).hexdigest()
