"""Common Crawl's CDX index: the WARC file, offset and length of each capture of a URL.

    https://index.commoncrawl.org/CRAWL-index?url=…&output=json    one JSON object a line; 404 where there is none

Decisions:
- The server compares URLs after canonicalization (SURT), which ignores scheme, `www.`, port and letter case of the
  host. A capture's URL may therefore differ from the requested URL.
- A pattern (`https://example.org/docs/*`, `*.example.org`) is requested page by page, in the server's own pages.

Not covered: the columnar index, which serves queries over millions of URLs better.
Source: https://github.com/webrecorder/pywb/wiki/CDX-Server-API
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag, urlencode, urlsplit

from lm.errors import InputError
from lm.locations import redacted
from pipelines.common_crawl.listing import INDEX_URL, check_crawl_name, client, file_url
from pipelines.fetch.urls import path_below

if TYPE_CHECKING:
    from pipelines.fetch.download import Downloader

_MAX_ANSWER_BYTES = 64 * 2**20
_MAX_URL_CHARACTERS = 8192
_TIMESTAMP = re.compile(r"[0-9]{14}")
_NO_CAPTURES = b"no captures found"


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture: URL, time, HTTP status, and the place of its WARC record below the data address.

    `digest` is the SHA-1 of the payload in base 32, as in WARC-Payload-Digest; empty where the index has none.
    """

    url: str
    timestamp: str
    status: int | None
    mime: str
    digest: str
    filename: str
    offset: int
    length: int


def find_captures(
    url: str, crawl: str, *, index_url: str = INDEX_URL, downloader: Downloader | None = None
) -> list[Capture]:
    """Return all captures of a URL, or of the URLs of a pattern with `*`, in the index's order.

    Raises:
        InputError: `url` is not a public web address, the crawl does not exist, or an answer cannot be read.
    """
    check_crawl_name(crawl)
    check_page_url(url)
    fetcher = client(downloader)
    address = file_url(f"{crawl}-index", index_url)
    url = urldefrag(url).url  # no crawler of Common Crawl sends a fragment
    if "*" not in url:
        return list(_ask(fetcher, address, {"url": url, "output": "json"}))
    query = {"url": url, "output": "json", "showNumPages": "true"}
    return [
        capture
        for page in range(_num_pages(fetcher, address, query))
        for capture in _ask(fetcher, address, {"url": url, "output": "json", "page": str(page)})
    ]


def best_capture(captures: Iterable[Capture], url: str) -> Capture | None:
    """Return the capture to fetch for a URL: status 200, the exact URL before its variants, then the newest.

    None where no capture has status 200.
    """
    good = [capture for capture in captures if capture.status == 200]
    address = urldefrag(url).url
    return max(good, key=lambda capture: (capture.url == address, capture.timestamp, capture.filename), default=None)


def check_page_url(url: str) -> str:
    """Return `url` if a crawl may contain it.

    Raises:
        InputError: `url` is not the address of a web page.
    """
    bare = url.removeprefix("*.")
    try:
        parts = urlsplit(bare if "://" in bare else f"http://{bare}")
        host = parts.hostname
    except ValueError:
        host = None
    is_plain = len(url) <= _MAX_URL_CHARACTERS and not any(
        character.isspace() or not character.isprintable() for character in url
    )
    if not host or not is_plain or parts.scheme not in ("http", "https") or parts.username is not None:
        raise InputError(
            f"{redacted(url[:200])!r}: not the address of a page, expected http://HOST/... or https://HOST/..."
        )
    return url


def _num_pages(downloader: Downloader, address: str, query: dict[str, str]) -> int:
    answer = _read(downloader, address, query)
    if answer is None:
        return 0
    try:
        return int(json.loads(answer)["pages"])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{address}: answered {answer[:80]!r}, expected JSON with 'pages'") from None


def _ask(downloader: Downloader, address: str, query: dict[str, str]) -> Iterator[Capture]:
    for line in (_read(downloader, address, query) or b"").splitlines():
        if line.strip():
            try:
                yield _capture(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(
                    f"{address}: answered {line[:80]!r} ({type(error).__name__}: {error}), expected a capture as JSON"
                ) from None


def _read(downloader: Downloader, address: str, query: dict[str, str]) -> bytes | None:
    """Return the answer; None where the index reports no capture."""
    from pipelines.fetch.download import RefusedError

    try:
        return downloader.read(f"{address}?{urlencode(query)}", _MAX_ANSWER_BYTES)
    except RefusedError as error:
        if error.status == 404 and _NO_CAPTURES in error.body.lower():
            return None
        raise


def _capture(row: Any) -> Capture:
    status = str(row.get("status", ""))
    capture = Capture(
        url=str(row["url"]),
        timestamp=str(row["timestamp"]),
        status=int(status) if status.isascii() and status.isdigit() else None,
        mime=str(row.get("mime", "")),
        digest=str(row.get("digest", "")),
        filename=str(row["filename"]),
        offset=int(row["offset"]),
        length=int(row["length"]),
    )
    path_below(Path("/"), capture.filename)
    if not _TIMESTAMP.fullmatch(capture.timestamp) or capture.offset < 0 or capture.length <= 0:
        raise ValueError("timestamp, offset or length is impossible")
    return capture
