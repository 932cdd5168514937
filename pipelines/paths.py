"""Paths: the home folder, artifact paths by asset and partition, and the form of partition keys.

$LOAM_HOME/artifacts/NAME                 an artifact of the whole corpus
$LOAM_HOME/artifacts/NAME/CRAWL/gNNNN     an artifact of one partition, a group of WARC files
$LOAM_HOME/downloads/MARK/...             copies of remote files, by a mark of their host or bucket

`$LOAM_HOME` is a folder, or the URL of a store such as `s3://bucket/prefix`; then downloads lie in the cache of this
machine (`lm.locations`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from lm.errors import ConfigurationError
from lm.locations import cache_folder, is_remote, locate

DEMO_CRAWL = "demo"
"""The crawl name of the built-in crawl's groups."""

_PARTITION = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})/g([0-9]{4,6})")


def home() -> Path:
    """Return the home folder or store: `$LOAM_HOME`, or `.loam` in the working folder.

    Raises:
        ConfigurationError: a URL with credentials, or without an installed file system.
    """
    return root_at(os.environ.get("LOAM_HOME") or ".loam")


def root_at(place: str) -> Path:
    """Return the home that a setting names: an absolute path, or a store's URL as a path.

    Raises:
        ConfigurationError: as `home`.
    """
    root = locate(place)
    return root if is_remote(root) else root.absolute()


def downloads(root: Path) -> Path:
    """Return the local folder for downloaded files of the home `root`."""
    return (cache_folder() if is_remote(root) else root) / "downloads"


def artifact_path(name: str, partition: str | None = None, root: Path | None = None) -> Path:
    """Return the artifact folder of asset `name`, or of one of its partitions.

    Raises:
        ConfigurationError: `partition` is not a partition key and could lead out of the root.
    """
    folder = (root or home()) / "artifacts" / name
    if partition is None:
        return folder
    crawl, group = parse_partition(partition)
    return folder / crawl / f"g{group:04d}"


def parse_partition(key: str) -> tuple[str, int]:
    """Return `CRAWL/gNNNN` as `(crawl, group)`.

    Raises:
        ConfigurationError: another form.
    """
    match = _PARTITION.fullmatch(key)
    if match is None:
        raise ConfigurationError(f"partition '{key}': expected CRAWL/gNNNN, as in CC-MAIN-2024-22/g0003")
    return match[1], int(match[2])


def partition_key(crawl: str, group: int) -> str:
    """Return the key of one group of a crawl's WARC files."""
    key = f"{crawl}/g{group:04d}"
    parse_partition(key)
    return key
