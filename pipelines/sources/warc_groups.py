"""Sources of WARC files, and the partition of their files into groups.

Three kinds of source: the demo crawl's folder, any other folder (also one in a store, such as s3://bucket/prefix), and
a crawl of Common Crawl. Files that lie elsewhere are copied to this machine.

Decisions:
- Groups are cut from the sorted names, `files_per_group` each. With `known`, existing groups keep exactly their files,
  and new files form new groups.
- `WarcFile.name` is relative to the source; documents carry this name, so they do not contain paths of this machine.
- A published list names a remote file by its URL, so that another machine finds it too and fetches a copy of its own,
  which must have the digest of the list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from lm import progress, storage
from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError, InputError
from lm.locations import is_remote, is_url, locate, redacted
from lm.storage import Artifact, Publication, sha256_of
from lm.store_access import list_files
from pipelines.common_crawl import (
    DATA_URL,
    FileKind,
    check_crawl_name,
    download_path,
    file_url,
    group_paths,
    list_paths,
)
from pipelines.fetch.remote_files import copy_path, fetch_file, is_http
from pipelines.paths import parse_partition, partition_key
from pipelines.sources.warc_file import WarcFile

if TYPE_CHECKING:
    from pipelines.fetch.download import Downloader

Report = Callable[[Mapping[str, object]], None]
_MOST_NAMED = 5

_WARC_NAME = re.compile(r"[^.].*\.(?:warc|wet)(?:\.gz|\.lz4|\.zstd?)?", re.IGNORECASE)
_UNREADABLE_NAME = re.compile(
    r"[^.].*\.(?:arc(?:\.(?:gz|lz4|zstd?))?|(?:warc|wet|arc)\.(?:bz2|xz|7z|zip|br|lzma|Z)|wacz)", re.IGNORECASE
)
"""Names of archives in unsupported formats; a folder with such an archive is refused, so that no archive is skipped
silently.
"""

LISTING = "files.json"
"""The file of an artifact that lists a group's WARC files."""


@dataclass(frozen=True, kw_only=True)
class WarcSource:
    """The user's choice of WARC files.

    `folder` is needed for `demo` and `folder`; `base_url` and `file_kind` matter to `common_crawl` only, `crawl` names
    the partitions of all three.
    """

    kind: Annotated[
        Literal["demo", "folder", "common_crawl"], Doc("The built-in crawl, a folder of WARC files, or Common Crawl.")
    ] = "demo"
    crawl: Annotated[str, Doc("Name of the crawl: the first part of its partition keys.")] = "demo"
    folder: Annotated[str | None, Doc("Folder of the WARC files.")] = None
    base_url: Annotated[str, Doc("Address of Common Crawl's data, or of a mirror.")] = DATA_URL
    file_kind: Annotated[FileKind, Doc("Kind of Common Crawl's files.")] = "warc"
    files_per_group: Annotated[int, Doc("WARC files per partition."), Range(1)] = 1
    max_files: Annotated[int | None, Doc("Number of files, from the first; empty takes all."), Range(1)] = None

    def __post_init__(self) -> None:
        settle(self, "warc_source")
        check_crawl_name(self.crawl)
        if (self.kind == "common_crawl") != (self.folder is None):
            expected = "none" if self.kind == "common_crawl" else "a path"
            raise ConfigurationError(f"warc_source.folder: {self.folder!r}, expected {expected} for '{self.kind}'")


def list_groups(
    source: WarcSource,
    *,
    known: Mapping[str, Sequence[str]] | None = None,
    without: Sequence[str] = (),
    downloads: Path | None = None,
    downloader: Downloader | None = None,
) -> dict[str, list[str]]:
    """Return the names of the files of each partition, by partition key. `downloads` keeps a remote listing for the
    next call. Files named by `without` join no new partition.

    Raises:
        InputError: the folder or the crawl has no WARC files, or cannot be read.
    """
    names = _list_names(source, downloads, downloader, known)[: source.max_files]
    groups = {key: list(known[key]) for key in sorted(known or {}) if known and parse_partition(key)[0] == source.crawl}
    taken = {name for group in groups.values() for name in group} | set(without)
    first = 1 + max((parse_partition(key)[1] for key in groups), default=-1)
    new = group_paths([name for name in names if name not in taken], source.files_per_group)
    return groups | {partition_key(source.crawl, first + number): group for number, group in enumerate(new)}


def resolve_group(
    source: WarcSource,
    partition: str,
    downloads: Path,
    report: Report | None = None,
    *,
    known: Mapping[str, Sequence[str]] | None = None,
    downloader: Downloader | None = None,
) -> list[WarcFile]:
    """Return the local files of one partition; remote files are downloaded below the folder `downloads`.

    `report` gets one event a file: name, size, and the number of files of the group so far.

    Raises:
        InputError: the source has no such partition, or a file cannot be fetched.
    """
    groups = list_groups(source, known=known, downloads=downloads, downloader=downloader)
    if partition not in groups:
        raise InputError(
            f"partition '{partition}': {source.folder or source.base_url} has no files for it, expected one of "
            f"{', '.join(list(groups)[:_MOST_NAMED])}{', …' if len(groups) > _MOST_NAMED else ''}"
        )
    names = groups[partition]
    files = []
    for name in progress.track(names, f"files of {partition}", total=len(names), unit="file"):
        file = _resolve(source, name, downloads, downloader)
        files.append(file)
        if report is not None:
            report({"file": name, "size_bytes": file.size_bytes, "num_files": len(files), "total_files": len(names)})
    return files


def publish_files(files: Sequence[WarcFile], target: Path, partition: str, files_per_group: int) -> Artifact:
    """Publish the list of a group's files as the artifact `target`, unless it is there already.

    The list contains locations, so the folder counts as an input beside the files' content.
    """

    def write(publication: Publication) -> None:
        write_files(publication.path / LISTING, files)
        publication.summary.update(num_warc_files=len(files), warc_bytes=sum(file.size_bytes for file in files))

    return storage.make(
        target,
        write,
        kind="warc_files",
        config={"partition": partition, "files_per_group": files_per_group},
        inputs={**{file.name: file.sha256 for file in files}, "folder": files[0].location.rpartition("/")[0]},
    )


def write_files(path: Path, files: Sequence[WarcFile]) -> None:
    """Write a list of files as JSON."""
    rows = [{"name": f.name, "path": f.location, "size_bytes": f.size_bytes, "sha256": f.sha256} for f in files]
    path.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


def read_files(path: Path, downloads: Path) -> list[WarcFile]:
    """Read a list that `write_files` wrote; copies of remote files belong below `downloads` but may be missing.

    Raises:
        InputError: the file is not such a list.
    """
    try:
        return [_file_of(row, downloads) for row in json.loads(path.read_text("utf-8"))]
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{path}: not a list of WARC files, expected JSON with name, path, size_bytes, sha256"
        ) from None


def fetch_missing(files: Sequence[WarcFile], downloader: Downloader | None = None) -> None:
    """Copy remote files of the list that are missing on this machine.

    Raises:
        InputError: a file cannot be fetched, or differs from the listed file.
    """
    missing = [file for file in files if file.origin and not file.path.is_file()]
    for file in progress.track(missing, "fetch WARC files", total=len(missing), unit="file"):
        fetch_file(file.origin, file.path, downloader, file.sha256)


def _list_names(
    source: WarcSource, downloads: Path | None, downloader: Downloader | None, known: Mapping[str, Sequence[str]] | None
) -> list[str]:
    if source.kind == "common_crawl":
        return list_paths(source.crawl, source.file_kind, source.base_url, folder=downloads, downloader=downloader)
    if is_http(str(source.folder)):
        if not known:
            place = redacted(str(source.folder))
            raise InputError(f"{place}: a web server's folder cannot be listed, expected the names of its files")
        return []
    folder = locate(str(source.folder))
    if is_remote(folder):
        found = list(list_files(folder))
    elif folder.is_dir():
        found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    else:
        raise InputError(f"{folder}: no such folder, expected one with WARC files")
    names = sorted(name for name in found if _WARC_NAME.fullmatch(name.rpartition("/")[2]))
    unreadable = sorted(name for name in found if _UNREADABLE_NAME.fullmatch(name.rpartition("/")[2]))
    if unreadable:
        listed = ", ".join(unreadable[:_MOST_NAMED]) + (", …" if len(unreadable) > _MOST_NAMED else "")
        raise InputError(
            f"{folder}: holds {len(unreadable)} archives that are not WARC files ({listed}), expected WARC: convert"
            " them (ARC: `warcio recompress`; WACZ: unzip) or remove them"
        )
    if not names:
        raise InputError(f"{folder}: holds no files named .warc or .wet, with or without .gz, .lz4 or .zst")
    return names


def _resolve(source: WarcSource, name: str, downloads: Path, downloader: Downloader | None) -> WarcFile:
    origin = ""
    if source.kind == "common_crawl":
        origin = file_url(name, source.base_url)
        path = download_path(name, downloads, source.base_url, downloader)
    elif is_url(location := f"{str(source.folder).rstrip('/')}/{name}"):
        origin = location
        path = copy_path(location, downloads)
        if not is_http(location) or not path.exists():
            fetch_file(location, path, downloader)
    else:
        path = Path(str(source.folder)) / name
    if not path.is_file():
        raise InputError(f"{path}: no such file, though {source.kind} '{source.crawl}' lists it")
    return WarcFile(name, path, path.stat().st_size, sha256_of(path), origin)


def _file_of(row: Mapping[str, Any], downloads: Path) -> WarcFile:
    name, location, size_bytes, sha256 = (row[key] for key in ("name", "path", "size_bytes", "sha256"))
    if not is_url(location):
        return WarcFile(name, Path(location), int(size_bytes), sha256)
    return WarcFile(name, copy_path(location, downloads), int(size_bytes), sha256, location)
