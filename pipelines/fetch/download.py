"""HTTP downloads: polite, resumable by range, retried after Retry-After, and whole or absent.

    .NAME.part, .NAME.part.json    the bytes so far (`pipelines.fetch.partial_file`)
    NAME                           the file, moved into place once its length, and its digest where known, are right

Decisions:
- A part is resumed only with `If-Range` and the validator (strong ETag, else Last-Modified) that it began with; if the
  file changed meanwhile, the download starts over.
- 403, 408, 425, 429 and 5xx are retried, after `Retry-After` if the server sends it, else after doubling pauses. 404,
  410 and other refusals are not retried. The final error names the URL.
- Only https is allowed, and plain http to this machine (tests). A redirect is followed on the same scheme, host and
  port; any other redirect is refused, so no redirect leads to another host or to a private address.
- Encodings of the transport are declined, so that the bytes are the stored ones.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Annotated

import requests
import urllib3

from lm import progress
from lm.configuration import Doc, Range, settle
from lm.errors import InputError, UnreachableError
from lm.storage import sha256_of
from pipelines.fetch.partial_file import PartFile, part_of
from pipelines.fetch.urls import check_url, redirect_target

_RETRIED = frozenset({403, 408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RANGE_NOT_SATISFIABLE = 416
_MAX_REDIRECTS = 5
_READ_BYTES = 1 << 18
_REFUSAL_BYTES = 1 << 12
_BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError)


@dataclass(frozen=True, kw_only=True)
class DownloadPolicy:
    """Timeouts, retries and pauses. Pauses double from `backoff_s` to `max_backoff_s`, unless the server sends
    Retry-After.
    """

    max_attempts: Annotated[int, Doc("Maximum requests per download."), Range(1)] = 8
    backoff_s: Annotated[float, Doc("The first pause, in seconds."), Range(0)] = 1.0
    max_backoff_s: Annotated[float, Doc("The longest pause, in seconds."), Range(0)] = 300.0
    max_retry_after_s: Annotated[
        float,
        Doc("The longest accepted Retry-After; a longer one ends the download, and the next call resumes."),
        Range(0),
    ] = 3_600.0
    min_interval_s: Annotated[float, Doc("Seconds between two requests."), Range(0)] = 0.25
    connect_timeout_s: Annotated[float, Doc("Seconds to wait for a connection."), Range(above=0)] = 10.0
    read_timeout_s: Annotated[float, Doc("Seconds to wait for the next bytes."), Range(above=0)] = 60.0
    max_file_bytes: Annotated[int, Doc("Maximum size of a file."), Range(1)] = 16 * 2**30
    user_agent: Annotated[str, Doc("The User-Agent of every request.")] = "loam/0.1"

    def __post_init__(self) -> None:
        settle(self, "download")


class RefusedError(InputError):
    """A final refusal by a server, with `status` and the beginning of the `body`."""

    def __init__(self, message: str, status: int, body: bytes) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class _Again(Exception):  # noqa: N818 - a wish to be tried again
    """A failed attempt that may succeed later; `pause_s` is the requested pause."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class Downloader:
    """One polite client: requests are at least `min_interval_s` apart."""

    def __init__(self, policy: DownloadPolicy | None = None) -> None:
        self.policy = policy or DownloadPolicy()
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": self.policy.user_agent, "Accept-Encoding": "identity"})
        self._next_request_at = 0.0

    def __enter__(self) -> Downloader:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def download(self, url: str, target: Path, *, sha256: str | None = None) -> Path:
        """Fetch `url` into the file `target`; resume an interrupted call.

        Raises:
            InputError: the URL is refused, or its bytes have another digest than expected.
            UnreachableError: the server did not answer, or not whole, in `max_attempts` attempts.
            ConflictError: another process is downloading the same file.
            NoSpaceError: the disk is full; the part file was removed.
        """
        with part_of(target, url) as part:
            self._retry(url, lambda: self._fetch_part(part, sha256))
        return target

    def read(self, url: str, max_bytes: int) -> bytes:
        """Return the content of `url`, at most `max_bytes`.

        Raises:
            InputError: as `download`; or the content is longer.
        """
        content = bytearray()

        def fetch() -> None:
            content.clear()
            with self._request(url, {}) as response:
                for chunk in _chunks(response):
                    content.extend(chunk)
                    if len(content) > max_bytes:
                        raise InputError(f"{url}: longer than {max_bytes} bytes")
                _check_length(len(content), _declared_length(response))

        self._retry(url, fetch)
        return bytes(content)

    def read_range(self, url: str, offset: int, size_bytes: int) -> bytes:
        """Return exactly `size_bytes` bytes of `url` from `offset` on.

        Raises:
            InputError: as `download`; or the server does not serve that range.
        """
        content = bytearray()
        last = offset + size_bytes - 1

        def fetch() -> None:
            content.clear()
            with self._request(url, {"Range": f"bytes={offset}-{last}"}) as response:
                if response.status_code != 206 or _content_range(response)[0] != offset:
                    raise InputError(f"{url}: answered without the requested range {offset}-{last}")
                for chunk in _chunks(response):
                    content.extend(chunk)
                    if len(content) > size_bytes:
                        raise InputError(f"{url}: longer than the requested range {offset}-{last}")
                _check_length(len(content), size_bytes)

        self._retry(url, fetch)
        return bytes(content)

    def _retry(self, url: str, attempt: Callable[[], None]) -> None:
        """Run `attempt` until it succeeds, with the server's or doubling pauses.

        Raises:
            UnreachableError: it did not succeed in `max_attempts` attempts.
            InputError: the server's pause is longer than `max_retry_after_s`.
        """
        for number in range(self.policy.max_attempts):
            try:
                return attempt()
            except (_Again, *_BROKEN) as error:
                reason = _plainly(error)
                pause_s = error.pause_s if isinstance(error, _Again) else None
            if pause_s is not None and pause_s > self.policy.max_retry_after_s:
                raise InputError(f"{url}: {reason}, Retry-After {pause_s:,.0f} s; run again after that time")
            if number + 1 < self.policy.max_attempts:
                doubled_s = min(self.policy.backoff_s * 2**number, self.policy.max_backoff_s)
                time.sleep(doubled_s if pause_s is None else pause_s)
        raise UnreachableError(f"{url}: gave up after {self.policy.max_attempts} attempts: {reason}")

    def _request(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Send one GET and follow its redirects.

        Raises:
            InputError: a final refusal, or a redirect that is not followed.
            _Again: a temporary refusal.
        """
        address = check_url(url)
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._get(address, headers)
            if response.status_code not in _REDIRECTS:
                return _accepted(url, response)
            location = response.headers.get("Location", "")
            response.close()
            address = redirect_target(address, location)
        raise InputError(f"{url}: more than {_MAX_REDIRECTS} redirects")

    def _get(self, address: str, headers: Mapping[str, str]) -> requests.Response:
        time.sleep(max(0.0, self._next_request_at - time.monotonic()))
        self._next_request_at = time.monotonic() + self.policy.min_interval_s
        timeouts = (self.policy.connect_timeout_s, self.policy.read_timeout_s)
        # A proxy of the environment cannot reach this machine's own loopback.
        self._session.trust_env = address.startswith("https:")
        return self._session.get(address, headers=headers, stream=True, timeout=timeouts, allow_redirects=False)

    def _fetch_part(self, part: PartFile, sha256: str | None) -> None:
        """Complete the part file, or raise `_Again` and keep the received bytes for the next attempt."""
        offset = part.size_bytes()
        headers = {"Range": f"bytes={offset}-", "If-Range": part.validator} if offset else {}
        with self._request_part(part, headers) as response:
            start, total_bytes = _content_range(response)
            if response.status_code == 206 and (start != offset or _validator(response) != part.validator):
                part.discard()
                raise _Again("the file changed while it was downloaded")
            if response.status_code == 200:
                part.begin(_validator(response))
                total_bytes = _declared_length(response)
            self._receive(part, response, start, total_bytes)
        size_bytes = part.path.stat().st_size
        try:
            _check_length(size_bytes, total_bytes)
        finally:
            if total_bytes is not None and size_bytes > total_bytes:
                part.discard()
        if sha256 is not None and (actual := sha256_of(part.path)) != sha256:
            part.discard()
            raise InputError(f"{part.url}: sha256 is {actual}, expected {sha256}")

    def _request_part(self, part: PartFile, headers: Mapping[str, str]) -> requests.Response:
        try:
            return self._request(part.url, headers)
        except RefusedError as error:
            if error.status != _RANGE_NOT_SATISFIABLE:
                raise
            part.discard()
            raise _Again("the range no longer exists") from None

    def _receive(self, part: PartFile, response: requests.Response, start: int, total_bytes: int | None) -> None:
        if total_bytes is not None and total_bytes > self.policy.max_file_bytes:
            raise InputError(f"{part.url}: {total_bytes} bytes, the limit is {self.policy.max_file_bytes}")
        name = part.url.rpartition("/")[2]
        with (
            part.path.open("r+b") as stream,
            progress.bar(f"download {name}", total=total_bytes, unit="B", initial=start) as bar,
        ):
            stream.truncate(start)
            stream.seek(start)
            for chunk in _chunks(response):
                stream.write(chunk)
                bar.update(len(chunk))
                if stream.tell() > self.policy.max_file_bytes:
                    raise InputError(f"{part.url}: longer than the limit of {self.policy.max_file_bytes} bytes")
            stream.flush()
            os.fsync(stream.fileno())


def _plainly(error: BaseException) -> str:
    """Return the reason of a failed attempt in a few words: those of the innermost error, which the HTTP client wraps.

    Three wrappers about "Connection refused" hide it in 200 characters.
    """
    inner, seen = error, {id(error)}
    while True:
        wrapped = (getattr(inner, "reason", None), inner.__cause__, inner.__context__, *inner.args)
        found = next((each for each in wrapped if isinstance(each, BaseException) and id(each) not in seen), None)
        if found is None:
            break
        inner = found
        seen.add(id(inner))
    told = inner.strerror if isinstance(inner, OSError) and inner.strerror else str(inner)
    return told or type(inner).__name__


def _accepted(url: str, response: requests.Response) -> requests.Response:
    """Return the response if it has content; raise the matching error for any other status."""
    status = response.status_code
    if status in (200, 206):
        return response
    pause_s = _retry_after_s(response.headers.get("Retry-After"))
    with response:
        body = b"" if status in _RETRIED else response.raw.read(_REFUSAL_BYTES, decode_content=True)
    if status in _RETRIED:
        raise _Again(f"HTTP status {status}", pause_s)
    raise RefusedError(f"{url}: HTTP status {status}, expected 200", status, body)


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield the stored content, whatever `Content-Encoding` says."""
    while chunk := response.raw.read(_READ_BYTES, decode_content=False):
        yield chunk


def _validator(response: requests.Response) -> str:
    """Return the validator for `If-Range` (RFC 9110, 13.1.5): a strong ETag, else the time of the last change; or
    nothing.
    """
    etag: str = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else str(response.headers.get("Last-Modified", ""))


def _declared_length(response: requests.Response) -> int | None:
    text: str = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _content_range(response: requests.Response) -> tuple[int, int | None]:
    """Return the offset of the content in the file, and the file's size if the header has it."""
    if response.status_code != 206:
        return 0, None
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    start = span.partition("-")[0]
    if unit != "bytes" or not start.isdigit():
        raise _Again(f"Content-Range '{unit} {rest}' cannot be read")
    return int(start), int(total) if total.isdigit() else None


def _check_length(size_bytes: int, expected_bytes: int | None) -> None:
    if expected_bytes is not None and size_bytes != expected_bytes:
        raise _Again(f"received {size_bytes} bytes, expected {expected_bytes}")


def _retry_after_s(text: str | None) -> float | None:
    """Return the seconds of a `Retry-After` header, which holds seconds or a date."""
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
