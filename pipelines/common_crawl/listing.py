"""Listings of Common Crawl: the crawls, the files of a crawl, and groups of files.

    https://index.commoncrawl.org/collinfo.json                     the crawls, newest first
    https://data.commoncrawl.org/crawl-data/CRAWL/warc.paths.gz     the paths of a crawl's files, below the same host

`DATA_URL` may also be the location of a mirror that fsspec reads, such as s3://commoncrawl.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lm.errors import ConfigurationError, InputError
from lm.locations import is_url, locate
from pipelines.fetch.remote_files import copy_path, fetch_file, is_http, read_file
from pipelines.fetch.urls import check_url, path_below

if TYPE_CHECKING:
    from pipelines.fetch.download import Downloader

DATA_URL = "https://data.commoncrawl.org/"
INDEX_URL = "https://index.commoncrawl.org/"

FileKind = Literal["warc", "wet"]
"""`warc` holds the captures; `wet` the text that Common Crawl extracted, which is smaller and needs no HTML parser."""

_SUFFIX: dict[FileKind, str] = {"warc": ".warc.gz", "wet": ".wet.gz"}
_CRAWL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_LISTING_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Crawl:
    """One crawl: its name, as in CC-MAIN-2024-22, and its title."""

    name: str
    title: str


def list_crawls(base_url: str = INDEX_URL, downloader: Downloader | None = None) -> list[Crawl]:
    """Return all crawls, newest first.

    Raises:
        InputError: the list cannot be fetched or read.
    """
    url = file_url("collinfo.json", base_url)
    content = client(downloader).read(url, _MAX_LISTING_BYTES)
    try:
        crawls = [Crawl(str(entry["id"]), str(entry["name"])) for entry in json.loads(content)]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{url}: no list of crawls, expected JSON objects with 'id' and 'name'") from None
    for crawl in crawls:
        check_crawl_name(crawl.name)
    return crawls


def newest_crawl(base_url: str = INDEX_URL, downloader: Downloader | None = None) -> Crawl:
    """Return the first crawl of the list, which is the newest.

    Raises:
        InputError: the list is empty, or cannot be fetched or read.
    """
    crawls = list_crawls(base_url, downloader)
    if not crawls:
        raise InputError(f"{base_url}: lists no crawls")
    return crawls[0]


def list_paths(
    crawl: str,
    kind: FileKind = "warc",
    base_url: str = DATA_URL,
    *,
    folder: Path | None = None,
    downloader: Downloader | None = None,
) -> list[str]:
    """Return the paths of a crawl's files, relative to `base_url`, in the crawl's order.

    `folder` keeps the listing for the next call: a published crawl does not change.

    Raises:
        InputError: there is no such crawl, the listing is damaged, or a listed path climbs or has another suffix.
    """
    check_crawl_name(crawl)
    relative = f"crawl-data/{crawl}/{kind}.paths.gz"
    url = file_url(relative, base_url)
    if folder is not None:
        stored = download_path(relative, folder, base_url, downloader).read_bytes()
    elif is_http(url):
        stored = client(downloader).read(url, _MAX_LISTING_BYTES)
    else:
        stored = read_file(url, _MAX_LISTING_BYTES)
    paths = [line.strip() for line in _gunzip(stored, url).decode("utf-8", "replace").splitlines() if line.strip()]
    for path in paths:
        path_below(Path("/"), path)
        if not path.endswith(_SUFFIX[kind]):
            raise InputError(f"{url}: lists {path!r}, expected files named {_SUFFIX[kind]}")
    return paths


def group_paths(paths: Sequence[str], files_per_group: int) -> list[list[str]]:
    """Return consecutive groups of `files_per_group` paths; the last group may be smaller."""
    if files_per_group < 1:
        raise ConfigurationError(f"files_per_group: {files_per_group}, expected at least 1")
    return [list(paths[start : start + files_per_group]) for start in range(0, len(paths), files_per_group)]


def download_path(path: str, folder: Path, base_url: str = DATA_URL, downloader: Downloader | None = None) -> Path:
    """Return the local copy, below `folder`, of one listed path; download it unless it exists.

    Raises:
        InputError: the path climbs, or the file cannot be fetched.
    """
    url = file_url(path, base_url)
    target = copy_path(url, folder)
    return target if target.exists() else fetch_file(url, target, downloader)


def file_url(path: str, base_url: str = DATA_URL) -> str:
    """Return the address of one listed path, below an https address or a location such as s3://commoncrawl.

    Raises:
        InputError: the path climbs, or the address is refused.
    """
    path_below(Path("/"), path)
    if is_http(base_url) or not is_url(base_url):
        check_url(base_url)
    else:
        locate(base_url)
    return f"{base_url.rstrip('/')}/{path}"


def check_crawl_name(name: str) -> str:
    """Return `name` if it is a valid crawl name, which is also safe as a folder's name.

    Raises:
        InputError: `name` is not valid.
    """
    if not _CRAWL_NAME.fullmatch(name):
        raise InputError(f"crawl {name!r}: not a valid name, expected one such as CC-MAIN-2024-22")
    return name


def _gunzip(stored: bytes, url: str) -> bytes:
    decoder = zlib.decompressobj(wbits=31)
    try:
        text = decoder.decompress(stored, _MAX_LISTING_BYTES)
    except zlib.error as error:
        raise InputError(f"{url}: {error}, expected a gzip file") from None
    if not decoder.eof:
        raise InputError(f"{url}: cut off or longer than {_MAX_LISTING_BYTES} bytes, expected a gzip file")
    return text


def client(downloader: Downloader | None) -> Downloader:
    """Return the given client, or a new one. The HTTP library is imported only for downloads."""
    from pipelines.fetch.download import Downloader

    return downloader or Downloader()
