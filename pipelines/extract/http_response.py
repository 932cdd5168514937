"""HTTP responses as crawlers stored them: status, media type, and the body with its transfer and content encodings
undone.

Decisions:
- A header may lie: Common Crawl stores decoded bodies, other crawlers the bytes of the wire, some both headers and
  neither encoding. A body that is not in the encoding its header names, by its first bytes, is taken as it is.
- Decoding stops at `max_bytes`, so a bomb inside a response costs no memory.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})\b")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")
_MAX_HEAD_BYTES = 1 << 18
_MAX_CHUNK_LINE_BYTES = 1 << 12


class BodyError(Exception):
    """A body that cannot be had: `rule` is `content_encoding` (it does not decode) or `too_large`."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class HttpHead:
    """Status and headers of a response; header names are in lower case, the body begins at `body_offset`."""

    status: int
    headers: Mapping[str, str]
    body_offset: int

    @property
    def media_type(self) -> str:
        """The declared type without parameters, in lower case; empty where none is declared."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def parse_head(block: bytes) -> HttpHead | None:
    """The head of a response; None where `block` does not begin with a status line."""
    status = _STATUS_LINE.match(block)
    if status is None:
        return None
    end = _HEAD_END.search(block, 0, _MAX_HEAD_BYTES)
    stop, body_offset = (end.start(), end.end()) if end else (len(block), len(block))
    headers: dict[str, str] = {}
    for line in block[:stop].decode("latin-1").split("\n")[1:]:
        key, colon, value = line.partition(":")
        if colon:
            headers.setdefault(key.strip().lower(), value.strip())
    return HttpHead(int(status[1]), headers, body_offset)


def decode_body(block: bytes, head: HttpHead, max_bytes: int) -> bytes:
    """The body of the response with chunks joined and content encodings undone.

    Raises:
        BodyError: it does not decode, or to more than `max_bytes`.
    """
    body = block[head.body_offset :]
    if "chunked" in head.headers.get("transfer-encoding", "").lower():
        body = join_chunks(body)
    for encoding in reversed(head.headers.get("content-encoding", "").lower().split(",")):
        body = _decode_content(body, encoding.strip(), max_bytes)
    if len(body) > max_bytes:
        raise BodyError("too_large", f"a body of {len(body)} bytes, the limit is {max_bytes}")
    return body


def join_chunks(body: bytes) -> bytes:
    """The chunks of a chunked body joined (RFC 9112, section 7.1); `body` itself where it does not begin with one.

    A body cut in mid-chunk gives what is there.
    """
    pieces: list[bytes] = []
    position = 0
    while True:
        line_end = body.find(b"\n", position, position + _MAX_CHUNK_LINE_BYTES)
        size = _CHUNK_SIZE.match(body, position)
        if line_end < 0 or size is None or size.end() > line_end:
            return b"".join(pieces) if pieces else body
        num_bytes = int(size[0], 16)
        if num_bytes == 0:
            return b"".join(pieces)
        pieces.append(body[line_end + 1 : line_end + 1 + num_bytes])
        position = line_end + 1 + num_bytes
        position += 2 if body.startswith(b"\r\n", position) else 1


def _decode_content(body: bytes, encoding: str, max_bytes: int) -> bytes:
    if encoding in ("gzip", "x-gzip"):
        return _inflate(body, 31, max_bytes) if body.startswith(b"\x1f\x8b") else body
    if encoding == "deflate":
        return _decode_deflate(body, max_bytes)
    if encoding == "zstd":
        return _decode_with_arrow(body, "zstd", max_bytes) if body.startswith(b"\x28\xb5\x2f\xfd") else body
    if encoding == "br":
        return body if body.lstrip()[:1] == b"<" else _decode_with_arrow(body, "brotli", max_bytes)
    return body


def _decode_deflate(body: bytes, max_bytes: int) -> bytes:
    """`deflate` is zlib by the standard and raw deflate by some servers; text that is neither stays."""
    is_zlib = len(body) > 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    if not is_zlib and body.lstrip()[:1] == b"<":
        return body
    return _inflate(body, 15 if is_zlib else -15, max_bytes)


def _inflate(body: bytes, wbits: int, max_bytes: int) -> bytes:
    decoder = zlib.decompressobj(wbits)
    try:
        text = decoder.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise BodyError("content_encoding", str(error)) from None
    if len(text) > max_bytes:
        raise BodyError("too_large", f"the body decodes to more than {max_bytes} bytes")
    return text


def _decode_with_arrow(body: bytes, codec: str, max_bytes: int) -> bytes:
    import pyarrow as pa  # here, since the child that parses starts faster without it

    try:
        with pa.CompressedInputStream(pa.BufferReader(body), codec) as stream:
            text: bytes = stream.read(max_bytes + 1)
    except OSError as error:
        raise BodyError("content_encoding", str(error)) from None
    if len(text) > max_bytes:
        raise BodyError("too_large", f"the body decodes to more than {max_bytes} bytes")
    return text
