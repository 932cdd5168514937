"""The source of a group of WARC files, stored in the home: `HOME/sources/CRAWL/gNNNN.json`.

A group names no folder by itself. Its source is stored when the group is added or first launched, so that a backfill
needs no configuration. Names of files are stored too: files that come later never change a group.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from lm.configuration import Doc, Range, from_mapping, settle, to_mapping
from lm.errors import AbsentError, ConfigurationError, InputError
from lm.local_store import replace_file
from lm.locations import is_remote, is_url
from lm.store_access import list_files, request
from pipelines.common_crawl import DATA_URL
from pipelines.paths import DEMO_CRAWL, parse_partition
from pipelines.sources.warc_groups import WarcSource, list_groups

FOLDER = "sources"
_COMMON_CRAWL = re.compile(r"CC-[A-Z]+-.+")
_STORED = re.compile(r"([^/]+)/(g[0-9]{4,6})\.json")


@dataclass(frozen=True, kw_only=True)
class GroupSource:
    """The source of a group's WARC files.

    Raises:
        ConfigurationError: at construction, a value out of its range, or files without a folder.
    """

    folder: Annotated[
        str | None,
        Doc(
            "Folder of WARC files: local, in a store such as s3://bucket/prefix, or https://… with `files`. "
            "Default: the group's stored source, else the built-in crawl for demo/…, Common Crawl for CC-…"
        ),
    ] = None
    files: Annotated[
        tuple[str, ...], Doc("Names of this group's files within the folder; empty cuts groups from the sorted names.")
    ] = ()
    files_per_group: Annotated[
        int, Doc("WARC files per group; a Common Crawl file has about a gigabyte."), Range(1)
    ] = 2
    file_kind: Annotated[
        Literal["warc", "wet"], Doc("Common Crawl's pages as fetched (WARC), or its extracted text (WET).")
    ] = "warc"
    base_url: Annotated[str, Doc("Base address of Common Crawl's files.")] = DATA_URL

    def __post_init__(self) -> None:
        settle(self, "warc_files")
        if self.files and not self.folder:
            raise ConfigurationError("warc_files: files without a folder, expected the folder of the files")

    def check_for(self, partition: str) -> None:
        """Refuse a source that does not fit the group's name.

        Raises:
            ConfigurationError: a folder for the built-in crawl's name, or no folder for a name that is none of Common
            Crawl's.
        """
        crawl, _ = parse_partition(partition)
        if crawl == DEMO_CRAWL:
            if self.folder:
                raise ConfigurationError(
                    f"partition '{partition}': '{DEMO_CRAWL}' is the built-in crawl, expected another name for "
                    f"{self.folder}, such as local/g0000"
                )
        elif not self.folder and self.base_url == DATA_URL and not _COMMON_CRAWL.fullmatch(crawl):
            raise ConfigurationError(
                f"partition '{partition}': no source is stored for it, and '{crawl}' is not a crawl of Common Crawl "
                f"(CC-MAIN-2024-22); add it with its folder: "
                f"python -m assets partitions add {partition} --folder FOLDER"
            )


def stored_source(root: Path, partition: str) -> GroupSource | None:
    """Return the stored source of a group of the home `root`; None if there is none.

    Raises:
        InputError: the file is damaged.
    """
    path = _path(root, partition)
    try:
        data = path.read_bytes() if not is_remote(path) else request(path, path.read_bytes)
    except (FileNotFoundError, AbsentError):
        return None
    return _parsed(path, data)


def store_source(root: Path, partition: str, source: GroupSource) -> GroupSource:
    """Store the source of a group of the home `root`, in place of an earlier one; return it with an absolute path."""
    source = dataclasses.replace(source, folder=_absolute(source.folder))
    path = _path(root, partition)
    data = (json.dumps(to_mapping(source), indent=1) + "\n").encode()
    if is_remote(path):
        request(path, lambda: path.write_bytes(data))
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)
    return source


def add_group(root: Path, partition: str, source: GroupSource) -> GroupSource:
    """Store the source of a new group with the names of its files, which no other group of the crawl has.

    The files of a folder are listed now; a crawl of Common Crawl, whose listing does not change, is listed when the
    group is made.

    Raises:
        ConfigurationError: as `GroupSource.check_for`.
        InputError: the folder cannot be read, has no WARC files, or none are left for the group.
    """
    source.check_for(partition)
    return store_source(root, partition, with_files(root, partition, source))


def with_files(root: Path, partition: str, source: GroupSource) -> GroupSource:
    """Return the source of a group with the names of its files: those that are stored for it, or else the next of the
    folder. A source without a folder, or with names, stays as it is.

    Raises:
        InputError: as `add_group`.
    """
    if not source.folder or source.files:
        return source
    source = dataclasses.replace(source, folder=_absolute(source.folder))
    own = stored_source(root, partition)
    if own is not None and dataclasses.replace(own, files=()) == source:
        return own
    return dataclasses.replace(source, files=_files_of(root, partition, source))


def _files_of(root: Path, partition: str, source: GroupSource) -> tuple[str, ...]:
    """Return the names of a new group's files: the folder's names in order, without those of its other groups.

    Groups are numbered on from those of the crawl's other folders.
    """
    crawl, _ = parse_partition(partition)
    known = {
        key: each.files if each.folder == source.folder else ()
        for key, each in stored_groups(root).items()
        if parse_partition(key)[0] == crawl and key != partition
    }
    listed = WarcSource(kind="folder", crawl=crawl, folder=source.folder, files_per_group=source.files_per_group)
    groups = list_groups(listed, known=known)
    if partition not in groups:
        new = ", ".join(key for key in groups if key not in known) or "none, every file already belongs to a group"
        raise InputError(
            f"partition '{partition}': {source.folder} has no files for this group; available groups: {new}"
        )
    return tuple(groups[partition])


def stored_groups(root: Path) -> dict[str, GroupSource]:
    """Return the stored sources of the home `root`, by group, sorted."""
    folder = root / FOLDER
    if is_remote(folder):
        names = list(list_files(folder))
    else:
        names = [path.relative_to(folder).as_posix() for path in folder.glob("*/*.json")]
    matches = sorted(match.groups() for name in names if (match := _STORED.fullmatch(name)))
    keys = [f"{crawl}/{group}" for crawl, group in matches]
    return {key: found for key in keys if (found := stored_source(root, key)) is not None}


def _absolute(folder: str | None) -> str | None:
    """Return a local folder as an absolute path, and a URL as it is."""
    return folder if folder is None or is_url(folder) else str(Path(folder).absolute())


def _path(root: Path, partition: str) -> Path:
    crawl, group = parse_partition(partition)
    return root / FOLDER / crawl / f"g{group:04d}.json"


def _parsed(path: Path, data: bytes) -> GroupSource:
    try:
        values = json.loads(data)
    except ValueError:
        raise InputError(f"{path}: not JSON, expected the source of a group") from None
    if not isinstance(values, Mapping):
        raise InputError(f"{path}: a {type(values).__name__}, expected an object with folder and files")
    return from_mapping(GroupSource, values, str(path))
