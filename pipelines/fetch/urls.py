"""Checks of URLs and paths that come from a server: allowed addresses, and paths that stay below a folder."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from lm.errors import InputError
from lm.locations import redacted

_PATH_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=+,@~-]{0,254}")


def check_url(url: str) -> str:
    """Return `url` if it is https, or plain http to this machine.

    Raises:
        InputError: any other address, or an address with credentials.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InputError(f"{redacted(url)!r}: no valid address, expected https://HOST/...") from None
    if not host or parts.username is not None or any(ord(character) <= 32 for character in url):
        raise InputError(f"{redacted(url)!r}: no valid address, expected https://HOST/...")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(host)):
        raise InputError(f"{url}: refused, expected https (plain http only to this machine)")
    if parts.scheme == "https" and _is_private(host):
        raise InputError(f"{url}: refused, a private address")
    return url


def redirect_target(url: str, location: str) -> str:
    """Return the target of a redirect from `url`.

    Raises:
        InputError: to another scheme, host or port.
    """
    target = urljoin(url, location)
    if origin(target) != origin(url):
        raise InputError(f"{url}: refused its redirect to {redacted(target)}, expected the same host")
    return check_url(target)


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def path_below(root: Path, relative: str) -> Path:
    """Return the path of the listed file `relative` below the folder `root`.

    Raises:
        InputError: the path is absolute, climbs, or leaves `root` through a link.
    """
    parts = relative.split("/")
    if not all(_PATH_PART.fullmatch(part) for part in parts):
        raise InputError(f"{relative!r}: refused as a path, expected names joined by '/' and no '..'")
    path = root.joinpath(*parts)
    if not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{relative!r}: refused as a path, it leads out of {root}")
    return path


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_private(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return not address.is_global and not address.is_loopback
