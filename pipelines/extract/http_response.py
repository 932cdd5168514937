"""Stored HTTP responses: status, media type, and the body with transfer and content encodings undone.

Decisions:
- Headers are unreliable: Common Crawl stores decoded bodies, other crawlers the bytes of the wire, some both headers
  and neither encoding. gzip and Zstandard are decoded by their first bytes, whichever encoding is named; text stays as
  it is; a body in neither its named encoding nor text is refused, so that no encoded bytes are taken for text.
- Headers that repeat are joined by commas, as RFC 9110 has it (section 5.3), and folded lines are one.
- Interim responses (100 Continue, a proxy's greeting) before the final one are passed over.
- Decoding stops at `max_bytes`, so a bomb inside a response costs no memory.

Not covered: the `compress` encoding and those with dictionaries (`dcb`, `dcz`).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipelines.extract.content_type import ContentType, parse_content_type
from pipelines.extract.media_type import begins_as_page, is_binary

_STATUS_LINE = re.compile(rb"[\r\n]{0,4}HTTP(?:/\d{1,2}(?:\.\d{1,2})?)?[ \t]+(\d{3})(?!\d)", re.IGNORECASE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(r"\r?\n")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]{0,64}(?:;[^\r\n]{0,4000})?(\r?\n)")
_MAX_HEAD_BYTES = 1 << 18
_GZIP_MAGIC, _ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_ENCODINGS = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd"})


class BodyError(Exception):
    """A body that cannot be decoded: `rule` is `content_encoding` (it does not decode) or `too_large`."""

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
    def content_type(self) -> ContentType:
        """The declared type and charset."""
        return parse_content_type(self.headers.get("content-type"))

    @property
    def media_type(self) -> str:
        """The declared type without parameters, in lower case; empty where none is declared."""
        return self.content_type.essence


def parse_head(block: bytes) -> HttpHead | None:
    """Return the head of the final response in `block`; None where it does not begin with a status line."""
    head = _head_at(block, 0)
    while head is not None and (100 <= head.status < 200 or block.startswith((b"HTTP/", b"http/"), head.body_offset)):
        following = _head_at(block, head.body_offset)
        if following is None:
            break
        head = following
    return head


def _head_at(block: bytes, start: int) -> HttpHead | None:
    status = _STATUS_LINE.match(block, start)
    if status is None:
        return None
    end = _HEAD_END.search(block, status.end(), status.end() + _MAX_HEAD_BYTES)
    stop, body_offset = (end.start(), end.end()) if end else (len(block), len(block))
    headers: dict[str, str] = {}
    name = ""
    for line in _LINE_END.split(block[status.end() : stop].decode("latin-1"))[1:]:
        key, colon, value = line.partition(":")
        if line[:1] in (" ", "\t") and name:
            headers[name] += " " + line.strip()
        elif colon:
            name, value = key.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return HttpHead(int(status[1]), headers, body_offset)


def decode_body(block: bytes, head: HttpHead, max_bytes: int) -> bytes:
    """Return the body of the response with chunks joined and content encodings undone.

    Raises:
        BodyError: it does not decode, or to more than `max_bytes`.
    """
    body = block[head.body_offset :]
    for header in ("transfer-encoding", "content-encoding"):
        for encoding in reversed(head.headers.get(header, "").lower().split(",")):
            if encoding.strip() == "chunked":
                body = join_chunks(body)
            elif encoding.strip() in _ENCODINGS:
                body = _decode_content(body, encoding.strip(), max_bytes)
    if len(body) > max_bytes:
        raise BodyError("too_large", f"a body of {len(body)} bytes, the limit is {max_bytes}")
    return body


def join_chunks(body: bytes) -> bytes:
    """Return the chunks of a chunked body joined (RFC 9112, section 7.1); `body` itself where it does not begin with
    one.

    A body cut in mid-chunk gives what is there, and so does one whose later chunks are damaged.
    """
    pieces: list[bytes] = []
    position = 0
    while (line := _CHUNK_LINE.match(body, position)) is not None:
        start, num_bytes = line.end(), int(line[1], 16)
        if num_bytes == 0:
            return b"".join(pieces)
        end = start + num_bytes
        is_whole = end >= len(body) or body.startswith((b"\r\n", b"\n"), end)
        if not pieces and (not is_whole or (end > len(body) and line[2] == b"\n")):
            return body  # a number that begins a text
        pieces.append(body[start:end])
        position = end + (2 if body.startswith(b"\r\n", end) else 1)
    return b"".join(pieces) if pieces else body


def _decode_content(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Return the body decoded by what its bytes are, where `encoding` says that it is encoded at all."""
    if body.startswith(_GZIP_MAGIC):
        return _inflate(body, 31, max_bytes)
    if body.startswith(_ZSTD_MAGIC):
        return _decode_zstd(body, max_bytes)
    if not body or _is_plain(body):
        return body
    try:
        return _NAMED[encoding](body, max_bytes)
    except BodyError as error:
        is_text = not is_binary(body) and not body.startswith(_UTF16_MARKS)
        if error.rule == "content_encoding" and is_text:
            return body
        raise


def _is_plain(body: bytes) -> bool:
    """Return whether the body is a page or text in UTF-8 as it is, which nothing encoded is for long."""
    if begins_as_page(body):
        return True
    if is_binary(body):
        return False
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(body) - 4 and error.start > 0
    return True


def _decode_deflate(body: bytes, max_bytes: int) -> bytes:
    """Decode `deflate`, which is zlib by the standard and raw deflate by some servers."""
    return _inflate(body, 15 if _is_zlib(body) else -15, max_bytes)


def _decode_zlib(body: bytes, max_bytes: int) -> bytes:
    """Decode a body as zlib, if its header says gzip or Zstandard but its bytes are neither."""
    if not _is_zlib(body):
        raise BodyError("content_encoding", f"begins with {body[:4]!r}, which is in no encoding")
    return _inflate(body, 15, max_bytes)


def _is_zlib(body: bytes) -> bool:
    return len(body) > 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0


def _inflate(body: bytes, wbits: int, max_bytes: int) -> bytes:
    """Return all members of a gzip body, or the one stream of another."""
    pieces: list[bytes] = []
    num_bytes = 0
    while body:
        decoder = zlib.decompressobj(wbits)
        try:
            pieces.append(decoder.decompress(body, max_bytes + 1 - num_bytes))
        except zlib.error as error:
            if num_bytes:
                break  # a damaged later member, or what only looks like one
            raise BodyError("content_encoding", str(error)) from None
        num_bytes += len(pieces[-1])
        if num_bytes > max_bytes:
            raise BodyError("too_large", f"the body decodes to more than {max_bytes} bytes")
        body = decoder.unused_data if wbits > 15 and decoder.unused_data.startswith(_GZIP_MAGIC) else b""
    return b"".join(pieces)


def _decode_zstd(body: bytes, max_bytes: int) -> bytes:
    import zstandard  # here, since the child that parses starts faster without it

    try:
        with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as stream:
            text: bytes = stream.read(max_bytes + 1)
    except zstandard.ZstdError as error:
        raise BodyError("content_encoding", str(error)) from None
    return _limited(text, max_bytes)


def _decode_brotli(body: bytes, max_bytes: int) -> bytes:
    import pyarrow as pa  # here, for the same reason

    try:
        with pa.CompressedInputStream(pa.BufferReader(body), "brotli") as stream:
            text: bytes = stream.read(max_bytes + 1)
    except OSError as error:
        raise BodyError("content_encoding", str(error)) from None
    if not text:
        raise BodyError("content_encoding", "not a brotli stream")
    return _limited(text, max_bytes)


def _limited(text: bytes, max_bytes: int) -> bytes:
    if len(text) > max_bytes:
        raise BodyError("too_large", f"the body decodes to more than {max_bytes} bytes")
    return text


_NAMED: Mapping[str, Callable[[bytes, int], bytes]] = {
    "gzip": _decode_zlib,
    "x-gzip": _decode_zlib,
    "zstd": _decode_zlib,
    "deflate": _decode_deflate,
    "br": _decode_brotli,
}
