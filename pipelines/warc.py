"""WARC records out of files that may be cut, flipped, padded or lying (ISO 28500:2017).

Decisions: a record is yielded only when its length, its digest and, where compressed, its member's checksum hold; what
does not hold is a `Loss` with its place, and reading goes on at the next gzip member, LZ4 frame or `WARC/1.` header. A
record's `offset` is where it, or the compressed member that holds it, begins in the stored file. Memory is bounded by
`max_record_bytes`, whatever a member inflates to. Not covered: ARC files, and an LZ4 frame larger than memory.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from lm.errors import ConfigurationError, InputError
from pipelines.warc_streams import (
    GZIP_MAGIC,
    LZ4_MAGIC,
    RECORD_START,
    Fault,
    MemberStream,
    PlainStream,
    Stored,
    Stream,
    beginning,
    find_member,
    member_stream,
)

LOSS_REASONS = ("truncated", "damaged", "digest", "bad_header", "too_large", "garbage")
"""Why a record is lost: the file ends in it; its compressed bytes are damaged; its block has another digest than its
header says; its header cannot be read or its length is wrong; it is over the limit; the bytes are no record."""

_MAX_HEADER_BYTES = 1 << 16
_SCAN_BYTES = 1 << 16
_START_BYTES = 96  # more than RECORD_START can span
_TAIL_BYTES = 24
_DIGESTS = {"sha1": 20, "sha256": 32, "md5": 16}
_LENGTH = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True, kw_only=True)
class WarcLimits:
    """How large a record may be."""

    max_record_bytes: int = 16 * 2**20
    """The largest block of a record, in bytes; a larger one is lost as `too_large`."""

    def __post_init__(self) -> None:
        if self.max_record_bytes < 1:
            raise ConfigurationError(f"max_record_bytes: {self.max_record_bytes}, expected at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class WarcRecord:
    """One whole record. `headers` has lower-case names; `payload` is the block, an HTTP message in a response."""

    type: str
    record_id: str
    target_uri: str
    date: str
    offset: int
    headers: dict[str, str] = field(repr=False)
    payload: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """A record, or a stretch of bytes, that could not be read; `reason` is one of `LOSS_REASONS`."""

    warc_path: str
    offset: int
    reason: str
    detail: str


def read_records(path: str | Path, *, limits: WarcLimits | None = None) -> Iterator[WarcRecord | Loss]:
    """The records of the WARC file at `path`, and what is lost of it, in file order.

    Raises:
        InputError: the file is missing, is empty, or holds no WARC record at all. Raised at once, not at the first
            record.
    """
    limits = limits or WarcLimits()
    with _mapped(Path(path)) as data:
        compression = _compression(path, data)
    return _read(Path(path), limits, compression)


def _read(path: Path, limits: WarcLimits, compression: bytes) -> Iterator[WarcRecord | Loss]:
    with _mapped(path) as data:
        walk = _walk_members(data, compression) if compression else iter([PlainStream(data, 0)])
        for part in walk:
            if isinstance(part, Stream):
                yield from _Reader(str(path), part, limits.max_record_bytes).records()
            else:
                yield Loss(warc_path=str(path), offset=part[0], reason="garbage", detail=_no_record(*part))


def _walk_members(data: Stored, magic: bytes) -> Iterator[Stream | tuple[int, int]]:
    """The compressed members in turn, and the ranges `(start, end)` between them that are none.

    A member that does not end well is searched, from its second byte on, for the next one that begins as a record.
    """
    at = 0
    while at < len(data):
        stream = member_stream(data, at)
        if isinstance(stream, MemberStream):
            yield stream
            if stream.end is not None:
                at = stream.end
                continue
        following = find_member(data, at + 1, magic)
        end = len(data) if following is None else following
        if not isinstance(stream, MemberStream):
            yield at, end
        at = end


def _no_record(start: int, end: int) -> str:
    return f"bytes {start} to {end} are no record"


class _Reader:
    """Takes a stream apart into records; after a bad one it goes on at the next record header of the stream."""

    def __init__(self, path: str, stream: Stream, max_record_bytes: int) -> None:
        self._path, self._stream, self._max = path, stream, max_record_bytes
        self._member = stream

    def records(self) -> Iterator[WarcRecord | Loss]:
        whole = True
        while True:
            start = self._stream.position()
            passed = self._find_start()
            if passed and whole and not self._stream.fault:
                yield self._loss(start, "garbage", _no_record(start, start + passed))
            if self._stream.at_end():
                break
            item = self._record()
            yield item
            whole = isinstance(item, WarcRecord) or item.reason in ("digest", "too_large")
            if self._stream.fault:
                self._settle()
                return
        if self._stream.fault:
            yield self._faulty(self._stream.position(), self._stream.fault)
        self._settle()

    def _settle(self) -> None:
        """Tell the member that was walked how it ended, where a copy of it was read to the end."""
        self._member.fault = self._stream.fault
        if isinstance(self._member, MemberStream) and isinstance(self._stream, MemberStream):
            self._member.end = self._stream.end

    def _find_start(self) -> int:
        """Go to the next record header; returns how many bytes that are neither header nor line ends were passed."""
        passed = 0
        while window := self._stream.read(_SCAN_BYTES):
            match = RECORD_START.search(window)
            last = len(window) < _SCAN_BYTES
            keep = match.start() if match else len(window) if last else len(window) - _START_BYTES
            if passed or window[:keep].strip(b"\r\n \t"):
                passed += keep
            self._stream.unread(window[keep:])
            if match or last:
                break
        return passed

    def _record(self) -> WarcRecord | Loss:
        offset = self._stream.position()
        head = self._head()
        if head is None:
            return self._failure(offset, "bad_header", f"no end of the header within {_MAX_HEADER_BYTES} bytes")
        headers = parse_headers(head)
        length = headers.get("content-length", "")
        if not _LENGTH.fullmatch(length):
            return self._failure(offset, "bad_header", f"Content-Length is {length[:40]!r}, expected a count of bytes")
        if "warc-type" not in headers:
            return self._failure(offset, "bad_header", "no WARC-Type")
        if int(length) > self._max:
            return self._oversize(offset, int(length))
        block = self._block(int(length))
        if block is None:
            detail = f"Content-Length is {length}, but the record does not end there"
            return self._failure(offset, self._short_reason, detail)
        if self._stream.fault:
            return self._faulty(offset, self._stream.fault)
        if mismatch := digest_mismatch(headers.get("warc-block-digest", ""), block):
            return self._loss(offset, "digest", mismatch)
        return WarcRecord(
            type=headers["warc-type"].lower(),
            record_id=headers.get("warc-record-id", ""),
            target_uri=headers.get("warc-target-uri", "").strip("<>"),
            date=headers.get("warc-date", ""),
            offset=offset,
            headers=headers,
            payload=block,
        )

    _short_reason = "bad_header"

    def _head(self) -> bytes | None:
        """The header without its first line and the empty line that ends it, or None where it does not end."""
        content = b""
        while len(content) < _MAX_HEADER_BYTES:
            part = self._stream.read(4096)
            content += part
            if end := re.search(rb"\r?\n\r?\n", content):
                self._stream.unread(content[end.end() :])
                return content[: end.start()].partition(b"\n")[2]
            if not part:
                break
        # The first byte is not given back: it would be taken for the same header again.
        self._stream.unread(content[1:])
        return None

    def _block(self, length: int) -> bytes | None:
        """The block, or None (and nothing read) where no record ends after `length` bytes."""
        block = self._stream.read(length)
        tail = self._stream.read(_TAIL_BYTES)
        self._stream.unread(tail)
        if len(block) == length and _ends_record(tail):
            return block
        if self._stream.fault:
            return block
        swallowed = RECORD_START.search(block) is not None
        at_file_end = isinstance(self._stream, PlainStream) and len(block) < length
        self._short_reason = "truncated" if at_file_end and not swallowed else "bad_header"
        self._stream.unread(block)
        return None

    def _oversize(self, offset: int, length: int) -> Loss:
        """Pass over a block that is too large; where no record ends behind it, its length was a lie: go back."""
        before = self._stream.clone()
        passed = self._stream.skip(length)
        tail = self._stream.read(_TAIL_BYTES)
        self._stream.unread(tail)
        if passed == length and _ends_record(tail):
            return self._loss(offset, "too_large", f"{length} bytes, limit {self._max}")
        if self._stream.fault:
            return self._faulty(offset, self._stream.fault)
        self._stream = before
        return self._loss(offset, "bad_header", f"Content-Length is {length}, but the record does not end there")

    def _failure(self, offset: int, reason: str, detail: str) -> Loss:
        """A loss, laid to the member's own damage where the rest of the member shows some."""
        if isinstance(self._stream, MemberStream):
            self._find_start()
            if self._stream.fault:
                return self._faulty(offset, self._stream.fault)
        return self._loss(offset, reason, detail)

    def _faulty(self, offset: int, fault: Fault) -> Loss:
        return self._loss(offset, fault.reason, fault.detail)

    def _loss(self, offset: int, reason: str, detail: str) -> Loss:
        return Loss(warc_path=self._path, offset=offset, reason=reason, detail=detail)


def _ends_record(tail: bytes) -> bool:
    """Whether a record may end before `tail`: the two line ends, the end of the data, or the next header."""
    stripped = tail.lstrip(b"\r\n \t")
    return tail.startswith((b"\r\n\r\n", b"\n\n")) or not stripped or stripped.startswith(b"WARC/")


def parse_headers(head: bytes) -> dict[str, str]:
    """`Name: value` lines as a dictionary with lower-case names; a line that begins with white space goes on the one
    before, and of a repeated name the first counts. Bytes that are not UTF-8 become U+FFFD."""
    headers: dict[str, str] = {}
    name = ""
    for line in head.decode("utf-8", "replace").splitlines():
        if line[:1] in (" ", "\t") and name:
            headers[name] += " " + line.strip()
            continue
        raw_name, colon, value = line.partition(":")
        if colon and (key := raw_name.strip().lower()) not in headers:
            name = key
            headers[name] = value.strip()
    return headers


def digest_mismatch(stated: str, block: bytes) -> str | None:
    """What is wrong with a `WARC-Block-Digest`, or None: it holds, is absent, or is of an algorithm unknown here."""
    algorithm, _, value = stated.partition(":")
    size = _DIGESTS.get(algorithm.lower().replace("-", ""))
    if size is None:
        return None
    actual = hashlib.new(algorithm.lower().replace("-", ""), block, usedforsecurity=False).digest()
    if _digest_bytes(value.strip(), size) == actual:
        return None
    return f"WARC-Block-Digest is {stated[:100]}, the block's is {algorithm}:{base64.b32encode(actual).decode()}"


def _digest_bytes(text: str, size: int) -> bytes | None:
    """A digest in base 16 or base 32, with or without padding."""
    try:
        if len(text) == 2 * size:
            return bytes.fromhex(text)
        return base64.b32decode(text.rstrip("=").upper() + "=" * (-len(text.rstrip("=")) % 8))
    except (ValueError, binascii.Error):
        return None


@contextmanager
def _mapped(path: Path) -> Iterator[Stored]:
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise InputError(f"{path}: an empty file, expected WARC records")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping:
                yield cast(Stored, mapping)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise InputError(f"{path}: {(error.strerror or 'cannot be read').lower()}, expected a WARC file") from None


def _compression(path: str | Path, data: Stored) -> bytes:
    """The magic of the members that the file consists of; empty for a plain file.

    Raises:
        InputError: no record begins anywhere in the file.
    """
    head = bytes(data[:_SCAN_BYTES])
    for magic in (GZIP_MAGIC, LZ4_MAGIC):
        if head.startswith(magic) and _begins_as_record(data):
            return magic
    if RECORD_START.match(head.lstrip()) or _cut_before_header(head):
        return GZIP_MAGIC if head[:1] == GZIP_MAGIC[:1] else b""
    for magic in (GZIP_MAGIC, LZ4_MAGIC):
        if find_member(data, 0, magic) is not None:
            return magic
    if not head.lstrip().startswith((b"<", b"filedesc:")) and RECORD_START.search(cast(bytes, data)):
        return b""
    found = beginning(data, 0)[:24] or head[:24]
    raise InputError(f"{path}: no WARC record in the file, it begins with {found!r}; expected WARC/1.0 or WARC/1.1")


def _begins_as_record(data: Stored) -> bool:
    stream = member_stream(data, 0)
    content = stream.read(_START_BYTES).lstrip()
    return bool(RECORD_START.match(content)) or (stream.fault is not None and b"WARC/".startswith(content[:5]))


def _cut_before_header(head: bytes) -> bool:
    return any(0 < len(head) < 10 and magic.startswith(head[: len(magic)]) for magic in (b"WARC/", GZIP_MAGIC))
