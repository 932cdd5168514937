"""Requests to an object store: transient failures are retried, and every failure becomes one line without secrets.

Decisions:
- A time-out, a dropped connection and a status such as 503 do not show that a file is absent. Each request is repeated
  with doubling pauses for `PATIENCE_S` seconds, on top of the retries of the store's own library.
- A store without a response raises an `UnreachableError`. Only a response "not found" means that a file is absent.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from lm.errors import AbsentError, InputError, LoamError, UnreachableError
from lm.locations import redacted
from lm.stored_files import is_no_space

Result = TypeVar("Result")

PATIENCE_S = 60.0
"""How long a request is repeated before its store counts as unreachable."""

_MIN_ATTEMPTS = 3
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.5, 10.0
_ANSWERS = (FileNotFoundError, PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError)
_REFUSALS = frozenset(
    {errno.EINVAL, errno.EPERM, errno.EACCES, errno.EROFS, errno.ENAMETOOLONG, errno.EMSGSIZE, errno.ENOSYS}
    | ({errno.EREMCHG} if hasattr(errno, "EREMCHG") else set())  # s3fs: the bucket is in another region
)
_BUCKET_PROTOCOLS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"})
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_TRANSIENT_CLASSES = frozenset(
    {
        "aiohttp.client_exceptions.ClientConnectionError",
        "aiohttp.client_exceptions.ClientPayloadError",
        "azure.core.exceptions.ServiceRequestError",
        "azure.core.exceptions.ServiceResponseError",
        "botocore.exceptions.ConnectionError",
        "botocore.exceptions.HTTPClientError",
        "botocore.parsers.ResponseParserError",
        "http.client.HTTPException",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "urllib3.exceptions.HTTPError",
    }
)
"""Classes of libraries that are imported only where they are installed, so they are compared by name."""

_log = logging.getLogger(__name__)


def request(place: object, operation: Callable[[], Result]) -> Result:
    """Return the result of `operation`, repeated while its failures are transient; `operation` must be repeatable.

    Raises:
        UnreachableError: the store did not answer; names the place, the number of attempts and the last reason.
        InputError: the store refused; names the place and the library's reason.
        AbsentError: the store answered that the file is absent.
    """
    started, attempts, pause_s = time.monotonic(), 0, _FIRST_PAUSE_S
    while True:
        attempts += 1
        try:
            return operation()
        except (LoamError, MemoryError):
            raise
        except FileNotFoundError:
            raise AbsentError(f"{place}: no such file") from None
        # Each store's library has errors of its own, and their chain may hold a request with its credentials.
        except Exception as error:
            if is_no_space(error):
                raise
            reason = f"{type(error).__name__}: {redacted(str(error)) or 'no reason given'}"
            if not is_transient(error):
                raise InputError(f"{place}: {reason}") from None
            elapsed_s = time.monotonic() - started
            if attempts >= _MIN_ATTEMPTS and elapsed_s + pause_s > PATIENCE_S:
                raise UnreachableError(
                    f"{place}: the store cannot be reached ({attempts} attempts in {elapsed_s:.0f} s; {reason}); "
                    "run again once it answers"
                ) from None
        _log.warning("%s: %s; next attempt in %g s", place, reason, pause_s)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _MAX_PAUSE_S)


def is_transient(error: BaseException) -> bool:
    """Return whether a failed request may succeed later: no response, an overload, or a fault of the server."""
    if isinstance(error, _ANSWERS):
        return False
    if isinstance(error, OSError):
        return error.errno not in _REFUSALS
    names = {f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__}
    return not names.isdisjoint(_TRANSIENT_CLASSES) or _status(error) in _TRANSIENT_STATUS


def list_files(folder: Any) -> dict[str, int]:
    """Return the size in bytes of every file below a folder of a store, by relative name.

    Raises:
        UnreachableError: the store did not answer.
        InputError: the store refused.
    """
    root = str(folder.path).rstrip("/")
    find = _find if is_bucket(folder.fs) else _walk
    start = len(root.strip("/")) + 1
    return {name.strip("/")[start:]: size for name, size in request(folder, lambda: find(folder.fs, root)).items()}


def protocols(files: Any) -> tuple[str, ...]:
    """Return the protocol names of an fsspec file system."""
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def is_bucket(files: Any) -> bool:
    """Return whether an fsspec file system has buckets and no folders."""
    return not _BUCKET_PROTOCOLS.isdisjoint(protocols(files))


def _find(files: Any, root: str) -> dict[str, int]:
    """Return the size of every file below `root`, by the store's own listing."""
    try:
        return {name: int(info["size"]) for name, info in files.find(root, detail=True).items()}
    except FileNotFoundError:
        return {}


def _walk(files: Any, root: str) -> dict[str, int]:
    """Return the size of every file below `root`. fsspec's `find` would skip a folder that it cannot list."""
    found: dict[str, int] = {}
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            listing = files.ls(folder, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            continue  # absent, or removed meanwhile
        for info in listing:
            if info["type"] == "directory":
                folders.append(info["name"])
            else:
                found[info["name"]] = int(info["size"])
    return found


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an error from the libraries for Google's and Azure's stores."""
    for name in ("status", "code", "status_code"):
        value = getattr(error, name, None)
        if isinstance(value, int | str) and str(value).isdecimal():
            return int(value)
    return None
