"""WARC 1.1 records: header, block, one gzip member each, with the digests of ISO 28500:2017.

A member's gzip header holds no time, so the same record is the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping, Sequence

_LEVEL = 6


def sha1_digest(content: bytes) -> str:
    """Return `sha1:` and the digest in base 32, as WARC digests are written."""
    return "sha1:" + base64.b32encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()


def gzip_member(content: bytes) -> bytes:
    """Return `content` as a gzip member of its own, without a time stamp."""
    return zlib.compress(content, _LEVEL, wbits=31)


def warc_record(
    kind: str, record_id: str, date: str, content_type: str, block: bytes, fields: Mapping[str, str]
) -> bytes:
    """Return one record; `fields` come between the obligatory ones and the length, and override those of the same
    name.
    """
    headers = {
        "WARC-Type": kind,
        "WARC-Date": date,
        "WARC-Record-ID": f"<urn:uuid:{record_id}>",
        "Content-Length": str(len(block)),
        "Content-Type": content_type,
        "WARC-Block-Digest": sha1_digest(block),
        **fields,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return b"WARC/1.1\r\n" + head.encode() + b"\r\n" + block + b"\r\n\r\n"


def http_message(first_line: str, headers: Sequence[tuple[str, str]], body: bytes = b"") -> bytes:
    """Return an HTTP/1.1 message as it went over the wire."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{first_line}\r\n{head}\r\n".encode("latin-1") + body


def chunked(body: bytes, size: int) -> bytes:
    """Return `body` in the chunked transfer coding of RFC 9112, in chunks of `size` bytes."""
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def fields_of(pairs: Mapping[str, str]) -> bytes:
    """Return `application/warc-fields`: one `name: value` a line."""
    return "".join(f"{name}: {value}\r\n" for name, value in pairs.items()).encode()


def spoiled_member(member: bytes) -> bytes:
    """Return a gzip member with sixteen bytes in its middle overwritten: what lies behind them cannot be read, and its
    end is where it was.
    """
    middle = len(member) // 2
    return member[:middle] + bytes(255 - byte for byte in member[middle : middle + 16]) + member[middle + 16 :]
