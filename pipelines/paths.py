"""Where things lie: the home folder, an artifact's path from its asset's name and partition, and what a partition key
is.

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

_PARTITION = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})/g([0-9]{4,6})")


def home() -> Path:
    """The folder or store that everything is kept in: `$LOAM_HOME`, or `.loam` in the working folder.

    Raises:
        ConfigurationError: a URL that holds credentials, or whose file system is not installed.
    """
    return root_at(os.environ.get("LOAM_HOME") or ".loam")


def root_at(place: str) -> Path:
    """The home that a setting names: an absolute path, or a store's URL as a path.

    Raises:
        ConfigurationError: as `home`.
    """
    root = locate(place)
    return root if is_remote(root) else root.absolute()


def downloads(root: Path) -> Path:
    """The folder of this machine for downloaded files of the home `root`."""
    return (cache_folder() if is_remote(root) else root) / "downloads"


def artifact_path(name: str, partition: str | None = None, root: Path | None = None) -> Path:
    """The artifact folder of asset `name`, of one partition where it is partitioned.

    Raises:
        ConfigurationError: `partition` is no partition key, so it could lead out of the root.
    """
    folder = (root or home()) / "artifacts" / name
    if partition is None:
        return folder
    crawl, group = parse_partition(partition)
    return folder / crawl / f"g{group:04d}"


def parse_partition(key: str) -> tuple[str, int]:
    """`CRAWL/gNNNN` as `(crawl, group)`.

    Raises:
        ConfigurationError: another form.
    """
    match = _PARTITION.fullmatch(key)
    if match is None:
        raise ConfigurationError(f"partition '{key}': expected CRAWL/gNNNN, as in CC-MAIN-2024-22/g0003")
    return match[1], int(match[2])


def partition_key(crawl: str, group: int) -> str:
    """The key of one group of a crawl's WARC files."""
    key = f"{crawl}/g{group:04d}"
    parse_partition(key)
    return key
