"""Artifacts: one published version, read from its manifest, and the fingerprint of the work that made it."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm import __version__
from lm.errors import IntegrityError
from lm.manifest import FORMAT, manifest_digest, sha256_of_json
from lm.stored_files import MANIFEST, FileEntry
from lm.stores import store_at

_VERSION = re.compile(r"([0-9a-f]{16})(?:-[0-9a-f]{8})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE_NAME_PART = re.compile(r"(?!\.\.?$)[^/\\\0]+")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One pinned version of a published folder.

    `digest`, the sha256 of the manifest, identifies it in the `inputs` of later artifacts.
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
        """The folder of this version's files; in an object store a URL."""
        return self.path / f"v-{self.version}"

    @property
    def size_bytes(self) -> int:
        """The total size of all files."""
        return sum(entry.size_bytes for entry in self.files.values())

    def names(self, pattern: str = "*") -> list[str]:
        """Return the sorted names of the files that match a shell pattern."""
        return sorted(name for name in self.files if fnmatch.fnmatchcase(name, pattern))

    def file(self, name: str) -> Path:
        """Return the local path of one file after a check of its bytes against the manifest.

        Raises:
            IntegrityError: the manifest does not list the file, its bytes changed, or it is missing. The message says
            so where two later publications have replaced this version.
            UnreachableError: the store did not answer.
        """
        entry = self.files.get(name)
        if entry is None:
            raise IntegrityError(f"{self.path / MANIFEST}: lists no file '{name}'; it has {', '.join(self.names())}")
        store = store_at(self.path)
        try:
            return store.file(self.version, name, entry)
        except IntegrityError as error:
            current = store.read_manifest()
            if current is None or parse_manifest(self.path, current).version == self.version:
                raise
            raise IntegrityError(
                f"{error}; version {self.version} was replaced after it was opened, open the artifact again"
            ) from None

    def fingerprint(self) -> str:
        """Return the fingerprint of the work that made this artifact."""
        return fingerprint(self.kind, self.config, self.inputs, self.code)


def fingerprint(kind: str, config: Mapping[str, Any], inputs: Mapping[str, str], code: str) -> str:
    """Return the identity of work before it is done: sha256 of kind, configuration, input digests and code."""
    return sha256_of_json({"kind": kind, "config": config, "inputs": inputs, "code": code, "loam": __version__})


def parse_manifest(path: Path, data: bytes) -> Artifact:
    """Return the artifact at `path` that a manifest describes.

    Raises:
        IntegrityError: the manifest is damaged, of another format, or leads out of its folder.
    """
    try:
        raw = json.loads(data)
        if raw["format"] != FORMAT:
            raise IntegrityError(f"{path / MANIFEST}: format is '{raw['format']}', expected '{FORMAT}'")
        version = _matched(_VERSION, raw["version"])
        return Artifact(
            path=path,
            digest=manifest_digest(data),
            kind=raw["kind"],
            version=version,
            config=raw["config"],
            inputs=raw["inputs"],
            code=raw["code"],
            summary=raw["summary"],
            files={name: _entry(name, entry) for name, entry in raw["files"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{path / MANIFEST}: damaged manifest ({type(error).__name__}: {error})") from None


def check_listing(artifact: Artifact) -> None:
    """Check that a version's folder has exactly the listed files, each with its size.

    Raises:
        IntegrityError: names the first file that is missing, surplus or of another size.
    """
    found = store_at(artifact.path).sizes(artifact.version)
    manifest = artifact.path / MANIFEST
    for name, entry in sorted(artifact.files.items()):
        if name not in found:
            raise IntegrityError(f"{artifact.folder / name}: missing, though {manifest} lists it")
        if found[name] != entry.size_bytes:
            raise IntegrityError(f"{artifact.folder / name}: {found[name]:,} bytes, expected {entry.size_bytes:,}")
    surplus = sorted(found.keys() - artifact.files.keys())
    if surplus:
        raise IntegrityError(f"{artifact.folder / surplus[0]}: unexpected file, not listed in {manifest}")


def _entry(name: str, entry: Mapping[str, Any]) -> FileEntry:
    """Return one entry of an untrusted manifest; neither its name nor its digest may lead out of the folder."""
    if not all(_FILE_NAME_PART.fullmatch(part) for part in name.split("/")):
        raise ValueError(f"file name {name!r}")
    return FileEntry(int(entry["size_bytes"]), _matched(_SHA256, entry["sha256"]))


def _matched(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError(f"{value!r} does not match {pattern.pattern}")
    return value
