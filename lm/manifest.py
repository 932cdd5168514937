"""Manifests: the bytes that commit a publication, and the digest that identifies an artifact."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lm import __version__
from lm.stored_files import FileEntry

FORMAT = "loam-artifact/1"


def listing_of(files: Mapping[str, FileEntry]) -> dict[str, dict[str, Any]]:
    """Return the files of a version in the form of a manifest."""
    return {name: {"size_bytes": entry.size_bytes, "sha256": entry.sha256} for name, entry in files.items()}


def content_of(files: Mapping[str, FileEntry]) -> str:
    """Return the name of a version by its content: 16 hexadecimal digits of the sha256 of the listing."""
    return sha256_of_json(listing_of(files))[:16]


def manifest_bytes(version: str, files: Mapping[str, FileEntry], facts: Mapping[str, Any]) -> bytes:
    """Return the manifest of a version; `facts` are kind, configuration, inputs, code and summary."""
    head = {"format": FORMAT, "loam": __version__, "version": version, "files": listing_of(files)}
    return json_bytes({**head, **facts})


def manifest_digest(data: bytes) -> str:
    """Return the sha256 of a manifest in its form on a disk, which is the same for every store.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the manifest is damaged.
    """
    raw = json.loads(data)
    content = raw["version"].partition("-")[0]
    return hashlib.sha256(data if content == raw["version"] else json_bytes({**raw, "version": content})).hexdigest()


def json_bytes(value: Any) -> bytes:
    """Return `value` as JSON with sorted keys, so that equal values give equal bytes."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sha256_of_json(value: Any) -> str:
    """Return the sha256 of `json_bytes(value)`."""
    return hashlib.sha256(json_bytes(value)).hexdigest()
