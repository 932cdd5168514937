"""WARC record headers: named fields, the length of the block, and the expected digest of the block."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal

VERSION_LINE = re.compile(rb"WARC/\d\.\d{1,2}\r?\n")
_FOLD = re.compile(r"\r?\n[ \t]+")
_FIELD = re.compile(r"\n([^:\n]*):([^\n]*)")
HEADER_END = re.compile(rb"\n\r?\n")
_HTTP_HEAD_END = re.compile(rb"\r?\n\r?\n")
_MAX_HTTP_HEAD_BYTES = 1 << 18
_REQUIRED = ("warc-type", "warc-record-id", "content-length")
_DIGITS = re.compile(r"[0-9]{1,18}")
_BASE_32 = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ2345670189", "0123456789ABCDEFGHIJKLMNOPQRSTUV????")
"""From the digits of RFC 4648's base 32 to those that `int` reads, which is many times as fast as `base64`."""
_ALGORITHMS = {"sha1": "sha1", "sha-1": "sha1", "sha256": "sha256", "sha-256": "sha256", "md5": "md5"}


Covered = Literal["block", "payload"]
"""The content that a block digest covers: the block, as in the standard, or the HTTP body in the block."""


class BadHeader(Exception):  # noqa: N818 - it becomes a loss, not an error of the user's
    """An unusable record header; the message gives the reason."""


def parse_header(header: bytes) -> dict[str, str]:
    """Return the fields of a record, names in lower case, from its header with the version line.

    Raises:
        BadHeader: no version line, or a required field missing.
    """
    if not VERSION_LINE.match(header):
        raise BadHeader("no WARC version line")
    text = header.decode("utf-8", "replace")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    fields = {key.strip().lower(): value.strip() for key, value in _FIELD.findall(text, text.find("\n"))}
    for required in _REQUIRED:
        if not fields.get(required):
            raise BadHeader(f"no {required} field")
    return fields


def block_length(fields: Mapping[str, str]) -> int:
    """Return the length of the block in bytes.

    Raises:
        BadHeader: `Content-Length` is not a whole number.
    """
    text = fields["content-length"]
    if not _DIGITS.fullmatch(text):
        raise BadHeader(f"Content-Length {text[:40]!r} is not a whole number")
    return int(text)


def digest_covers(digest: str, block: bytes) -> Covered | None:
    """Return the part of the block that has the digest `algorithm:value`; None for a damaged block, where neither part
    has it.

    The value is written in base 32 by most crawlers, else in hexadecimal. Some writers put the digest of the HTTP body
    into the block's field. Without a digest, or with a digest in unknown notation, the whole block counts as covered.
    """
    label, _, value = digest.partition(":")
    algorithm = _ALGORITHMS.get(label.strip().lower())
    if algorithm is None:
        return "block"
    actual = hashlib.new(algorithm, block, usedforsecurity=False).digest()
    expected = _digest_bytes(value.strip(), len(actual))
    if expected is None or expected == actual:
        return "block"
    head_end = _HTTP_HEAD_END.search(block, 0, _MAX_HTTP_HEAD_BYTES) if block[:5].upper() == b"HTTP/" else None
    if head_end is None:
        return None
    body = memoryview(block)[head_end.end() :]
    return "payload" if hashlib.new(algorithm, body, usedforsecurity=False).digest() == expected else None


def _digest_bytes(text: str, size: int) -> bytes | None:
    bare = text.rstrip("=").upper()
    with suppress(ValueError):
        if len(bare) == 2 * size:
            return bytes.fromhex(bare)
        if len(bare) == -(-size * 8 // 5) and bare.isalnum() and bare.isascii():
            number = int(bare.translate(_BASE_32), 32)
            return (number >> (5 * len(bare) - 8 * size)).to_bytes(size, "big")
    return None
