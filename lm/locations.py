"""Locations: paths on this machine, and URLs of the stores that fsspec supports (`s3://bucket/prefix`).

A remote location is a `upath.UPath` with the interface of `pathlib.Path`. It has no name in the local file system, so
`lm.storage` fetches its bytes and keeps copies below `cache_folder()`.

Decisions:
- Credentials come from the store's own environment variables and files (for S3: `AWS_PROFILE`, `AWS_ACCESS_KEY_ID`,
  `AWS_ENDPOINT_URL`, …). A URL with credentials is refused without repeating them, so none reaches a log or a manifest.
- Listings are never cached: another machine may have published since.
- fsspec and upath are loaded only for URLs.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import cast

from lm.errors import ConfigurationError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_CREDENTIALS = re.compile(r"://[^/\s'\"]*@")
_SIGNED = re.compile(
    r"(?i)\b([a-z0-9_-]*(?:signature|credential|token|secret|password|passwd|api_?key|access_?key|sig))"
    r"(['\"]?\s*[=:]\s*['\"]?)[^\s&'\",;]+"
)

_SECRET_VARIABLE = re.compile(r"(?:SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_?KEY|ACCOUNT_?KEY)")
_MIN_SECRET_CHARACTERS = 8


def is_url(text: str) -> bool:
    """Return whether `text` is a URL and not a local path."""
    return _URL.fullmatch(text) is not None


def is_remote(path: object) -> bool:
    """Return whether a location is in a store and not on this machine."""
    return not isinstance(path, Path)


def locate(place: Path | str) -> Path:
    """Return the location named by `place`: a `Path`, or for a URL a `UPath` (typed as `Path`).

    Raises:
        ConfigurationError: the URL has credentials or a query, chains file systems, or needs a library that is not
        installed.
    """
    if not isinstance(place, str):
        return place
    if "::" in place and "://" in place:
        raise ConfigurationError(f"{redacted(place)}: a chain of file systems, expected one URL")
    match = _URL.fullmatch(place)
    if match is None:
        return Path(place)
    protocol, rest = match[1].lower(), match[2]
    _refuse_secrets(place, rest)
    if protocol in ("file", "local"):
        return Path(rest)
    if protocol in ("http", "https"):
        raise ConfigurationError(f"{place}: cannot be published to, expected a folder or a store such as s3://bucket")
    from upath import UPath

    try:
        # Opened here, so that a missing library is reported at once.
        found = UPath(place.rstrip("/"), use_listings_cache=False)
        _ = found.fs
    except (ImportError, ValueError) as error:
        raise ConfigurationError(f"{place}: {redacted(str(error))}") from None
    return cast(Path, found)


def redacted(text: str) -> str:
    """Return `text` without the credentials and signatures of URLs, without values labelled as secrets, and without the
    values of environment variables with such names."""
    for name, value in os.environ.items():
        if len(value) >= _MIN_SECRET_CHARACTERS and _SECRET_VARIABLE.search(name):
            text = text.replace(value, "…")
    return _SIGNED.sub(r"\1\2…", _CREDENTIALS.sub("://…@", text))


def cache_folder() -> Path:
    """Return the folder for copies of remote files: `$LOAM_CACHE`, else `loam` in the user's cache folder.

    `files/` holds copies by sha256, `work/` unfinished publications, `downloads/` the WARC files of crawls, `compiled/`
    and `names/` what `lm.code_cache` keeps. The folder grows without bound; any part can be deleted while nothing runs.
    """
    configured = os.environ.get("LOAM_CACHE")
    if configured:
        return Path(configured).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "loam"


def workspace(target: Path) -> Path:
    """Return the local folder in which `target` is built: `target` itself, or for a URL a folder of the cache."""
    if not is_remote(target):
        return target
    mark = hashlib.sha256(str(target).encode()).hexdigest()[:16]
    return cache_folder() / "work" / f"{target.name}-{mark}"


def _refuse_secrets(place: str, rest: str) -> None:
    shown = redacted(place)
    if "@" in rest.partition("/")[0]:
        raise ConfigurationError(f"{shown}: credentials in a URL, expected them in the environment")
    if "?" in rest or "#" in rest:
        raise ConfigurationError(f"{shown.partition('?')[0]}: a query in a URL, expected scheme://bucket/prefix")
