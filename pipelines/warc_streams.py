"""The bytes under a WARC file: plain, or the members of a gzip or LZ4 file, read forwards in bounded memory.

A stream never raises on damage: it ends, and `fault` says why. A gzip member is trusted only once its checksum was
read, so whoever yields something of it first looks whether the member goes on or ended well.
"""

from __future__ import annotations

import copy
import re
import zlib
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

GZIP_MAGIC = b"\x1f\x8b\x08"
LZ4_MAGIC = b"\x04\x22\x4d\x18"
_CHUNK_BYTES = 1 << 16
_TRIAL_BYTES = 1 << 12
RECORD_START = re.compile(rb"WARC/(?:0\.1[0-9]|1\.[0-9])[ \t]*\r?\n(?=[A-Za-z][A-Za-z0-9-]*[ \t]*:)")


class Stored(Protocol):
    """A file's bytes, mapped or in memory."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: slice) -> bytes: ...
    def find(self, needle: bytes, start: int = ..., /) -> int: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Why a stream ended early: `truncated` where the file did, else `damaged`."""

    reason: str
    detail: str


class Stream:
    """Bytes read forwards; what was read can be put back, and a copy goes on from the same place."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self._pending = b""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end of the stream."""
        parts = [self._pending[:size]]
        self._pending = self._pending[size:]
        missing = size - len(parts[0])
        while missing > 0 and (part := self._next(missing)):
            parts.append(part)
            missing -= len(part)
        return b"".join(parts) if len(parts) > 1 else parts[0]

    def unread(self, content: bytes) -> None:
        """Put back bytes, to be read again first."""
        self._pending = content + self._pending

    def skip(self, size: int) -> int:
        """Pass over `size` bytes in constant memory; returns how many there were."""
        passed = 0
        while passed < size and (part := self.read(min(size - passed, _CHUNK_BYTES))):
            passed += len(part)
        return passed

    def at_end(self) -> bool:
        """Whether nothing is left to read; of a compressed member, its checksum was then read too."""
        self.unread(self.read(1))
        return not self._pending

    def clone(self) -> Stream:
        """A stream of its own that goes on from here."""
        return copy.copy(self)

    def position(self) -> int:
        """Where in the stored file the next byte comes from; of a compressed member, where the member begins."""
        raise NotImplementedError

    def _next(self, size: int) -> bytes:
        raise NotImplementedError


class PlainStream(Stream):
    """Bytes as they lie in the file, from `start`."""

    def __init__(self, data: Stored, start: int) -> None:
        super().__init__()
        self._data, self._at = data, start

    def position(self) -> int:
        return self._at - len(self._pending)

    def skip(self, size: int) -> int:
        passed = max(0, min(size, len(self._data) - self.position()))
        self._at, self._pending = self.position() + passed, b""
        return passed

    def _next(self, size: int) -> bytes:
        part = bytes(self._data[self._at : self._at + size])
        self._at += len(part)
        return part


class MemberStream(Stream):
    """The content of one compressed member that begins at `start`; `end` is known once the stream ended well."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start
        self.end: int | None = None

    def position(self) -> int:
        return self.start


class GzipStream(MemberStream):
    """The content of one gzip member."""

    def __init__(self, data: Stored, start: int) -> None:
        super().__init__(start)
        self._data, self._at = data, start
        self._inflater = zlib.decompressobj(wbits=31)

    def clone(self) -> Stream:
        other = copy.copy(self)
        other._inflater = self._inflater.copy()
        return other

    def _next(self, size: int) -> bytes:
        while not self.fault and self.end is None:
            stored = self._inflater.unconsumed_tail or bytes(self._data[self._at : self._at + _CHUNK_BYTES])
            if not self._inflater.unconsumed_tail:
                self._at += len(stored)
            try:
                part = self._inflater.decompress(stored, size)
            except zlib.error as error:
                self.fault = Fault(reason="damaged", detail=f"gzip member: {error}")
                return b""
            if self._inflater.eof:
                self.end = self._at - len(self._inflater.unused_data)
            elif not stored and not part:
                self.fault = Fault(reason="truncated", detail=f"gzip member cut at byte {len(self._data)}")
            if part:
                return part
        return b""


class Lz4Stream(MemberStream):
    """The content of one LZ4 frame. The sizes of its blocks lie in the clear, so its end is found without decoding."""

    def __init__(self, data: Stored, start: int) -> None:
        super().__init__(start)
        end = lz4_frame_end(data, start)
        if end is None:
            self.fault = Fault(reason="truncated", detail=f"LZ4 frame cut at byte {len(data)}")
        self._frame_end = end or len(data)
        self._source = pa.CompressedInputStream(pa.BufferReader(bytes(data[start : self._frame_end])), "lz4")
        self._data, self._read = data, 0

    def clone(self) -> Stream:
        other = Lz4Stream(self._data, self.start)
        other.skip(self._read - len(self._pending))
        return other

    def _next(self, size: int) -> bytes:
        if self.end is not None:
            return b""
        try:
            part = bytes(self._source.read(min(size, _CHUNK_BYTES)))
        except (OSError, pa.ArrowInvalid) as error:
            self.fault = self.fault or Fault(reason="damaged", detail=f"LZ4 frame: {error}")
            return b""
        self._read += len(part)
        if not part and self.fault is None:
            self.end = self._frame_end
        return part


def lz4_frame_end(data: Stored, start: int) -> int | None:
    """Where the LZ4 frame at `start` ends (LZ4 frame format 1.6), or None where the file ends first."""
    flags = int.from_bytes(data[start + 4 : start + 5], "little")
    at = start + 7 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)
    checksum_bytes = 4 if flags & 0x10 else 0
    while at + 4 <= len(data):
        block_bytes = int.from_bytes(data[at : at + 4], "little") & 0x7FFFFFFF
        at += 4
        if block_bytes == 0:
            at += 4 if flags & 0x04 else 0
            return at if at <= len(data) else None
        at += block_bytes + checksum_bytes
    return None


def find_member(data: Stored, start: int, magic: bytes) -> int | None:
    """The next offset from `start` where a member of this kind begins and its content begins as a WARC record."""
    at = data.find(magic, start)
    while at >= 0:
        if RECORD_START.match(beginning(data, at).lstrip()):
            return at
        at = data.find(magic, at + 1)
    return None


def beginning(data: Stored, start: int) -> bytes:
    """The first bytes of the content at `start`, decompressed where a member begins there; empty where damaged."""
    return member_stream(data, start).read(_TRIAL_BYTES)


def member_stream(data: Stored, start: int) -> Stream:
    """The stream of what begins at `start`, told by its first bytes."""
    head = bytes(data[start : start + 4])
    if head[:3] == GZIP_MAGIC:
        return GzipStream(data, start)
    return Lz4Stream(data, start) if head == LZ4_MAGIC else PlainStream(data, start)
