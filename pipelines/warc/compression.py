"""Compression of WARC files: gzip members, LZ4 or Zstandard frames, or the plain file as one member.

Crawlers compress each record by itself, so that a record can be fetched by its byte range. Separate members also bound
damage: a member that does not decode is skipped, and reading resumes at the next member that decodes to `WARC/`.

Decisions:
- A member is decoded in chunks of at most 4 MiB, so a decompression bomb costs time, never memory.
- The member's own checksum (CRC-32 in gzip, xxHash in LZ4 and Zstandard where written) is checked when its end is
  reached; a record that ends with its member is therefore handed out only after the check.
- gzip is decoded by zlib-ng, which takes half of zlib's time for the same bytes and the same errors. ISA-L is faster
  still: it decodes sound members of at most 4 MiB. All others are decoded by zlib-ng, so that errors are those of zlib.
  ISA-L also takes incomplete Huffman codes, which zlib refuses; the checksum covers what they decode to.
- Skippable frames, which LZ4 and Zstandard share, hold no records and are passed over.

Zstandard needs the file's own dictionary: see `pipelines.warc.zstd`.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal, cast

import pyarrow as pa
from isal import igzip_lib
from zlib_ng import zlib_ng

Chunks = Generator[bytes, None, int]
"""Decoded pieces of one member; the generator returns the stored offset at which the member ends."""

_READ_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 20
_WHOLE_BYTES = 1 << 22
_LOOK_BYTES = 1 << 12
_SKIPPABLE = b"\x2a\x4d\x18"
WARC_MAGIC = b"WARC/"
_UNCHECKED_FLAGS = 0xE2
"""Flags of a gzip header whose errors ISA-L does not see: the reserved ones, a checksum of the header (RFC 1952)."""
_ZLIB_ERROR, _ISAL_ERROR = (cast(type[Exception], each) for each in (zlib_ng.error, igzip_lib.error))
"""Classes, which their stubs call instances."""


class MemberError(Exception):
    """A member that cannot be decoded to its end: its bytes are wrong (`damaged`) or missing (`truncated`)."""

    def __init__(self, reason: Literal["damaged", "truncated"], detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def skip_frames(data: mmap.mmap, offset: int, most: int | None = None) -> int:
    """Return the offset behind the skippable frames at `offset`, `most` of them at most (LZ4 Frame Format, RFC
    8878).
    """
    while most != 0 and data[offset + 1 : offset + 4] == _SKIPPABLE and data[offset] & 0xF0 == 0x50:
        end = offset + 8 + int.from_bytes(data[offset + 4 : offset + 8], "little")
        if end > len(data):
            break
        offset, most = end, None if most is None else most - 1
    return offset


@dataclass(frozen=True, slots=True)
class Form:
    """One storage format of WARC files: magic bytes of a member, decoder, and skipped frames."""

    name: str
    magic: bytes
    decode: Callable[[mmap.mmap, int], Chunks]
    skip: Callable[[mmap.mmap, int], int] = lambda data, offset: offset
    decode_whole: Callable[[mmap.mmap, int], tuple[bytes, int] | None] = lambda data, offset: None
    """A faster decoder: all bytes of a member and the offset of its end, or None for a member that needs `decode`."""

    def head(self, data: mmap.mmap, offset: int) -> bytes:
        """Return the first decoded bytes of the member at `offset`; empty where nothing decodes."""
        try:
            return next(self.decode(data, offset), b"")[:_LOOK_BYTES]
        except MemberError:
            return b""

    def find(self, data: mmap.mmap, start: int) -> int | None:
        """Return the offset of the first member from `start` on that decodes to the beginning of a WARC record."""
        offset = data.find(self.magic, start)
        while offset >= 0:
            if self.head(data, offset).startswith(WARC_MAGIC):
                return offset
            offset = data.find(self.magic, offset + 1)
        return None


class MemberReader:
    """The decoded bytes of one member, through a window that is filled from behind and dropped from the front."""

    def __init__(self, form: Form, data: mmap.mmap, offset: int) -> None:
        self.form = form
        self.data = data
        self.offset = offset
        self.window = bytearray()
        self.position = 0
        """Where the window begins, in decoded bytes from the member's start."""
        self.end: int | None = None
        """The stored offset after the member, once all of it was decoded."""
        self._chunks = form.decode(data, offset)
        self._error: MemberError | None = None

    def whole(self) -> bytes | None:
        """Return all bytes of a member that decodes whole, which spares the window two copies of them; else None.

        Must be called first. Bytes decoded by this call are in the window; an error is raised by the next `fill`.
        """
        found = self.form.decode_whole(self.data, self.offset)
        if found is not None:
            content, self.end = found
            return content
        first = b""
        try:
            first = next(self._chunks)
            self.window += first + next(self._chunks)
        except StopIteration as stop:
            self.end = stop.value
            return first
        except MemberError as error:
            self.window += first
            self._error = error
        return None

    def fill(self, size: int) -> bool:
        """Make the window at least `size` bytes long; False where the member ends before.

        Raises:
            MemberError: the member cannot be decoded that far.
        """
        while len(self.window) < size:
            if self.end is not None:
                return False
            if self._error is not None:
                raise self._error
            try:
                self.window += next(self._chunks)
            except StopIteration as stop:
                self.end = stop.value
        return True

    def drop(self, size: int) -> None:
        """Move the window's beginning `size` bytes on."""
        del self.window[:size]
        self.position += size

    def at(self, position: int) -> MemberReader | None:
        """Return a second reader of this member, moved to the decoded `position`; None where the member ends before."""
        other = MemberReader(self.form, self.data, self.offset)
        while other.position + len(other.window) < position:
            other.drop(len(other.window))
            if not other.fill(1):
                return None
        other.drop(position - other.position)
        return other


def _decode_plain(data: mmap.mmap, offset: int) -> Chunks:
    for start in range(offset, len(data), _CHUNK_BYTES):
        yield data[start : start + _CHUNK_BYTES]
    return len(data)


def _decode_gzip(data: mmap.mmap, offset: int) -> Chunks:
    decoder = zlib_ng.decompressobj(wbits=31)
    position = offset
    while not decoder.eof:
        stored = decoder.unconsumed_tail
        if not stored:
            stored = data[position : position + _READ_BYTES]
            position += len(stored)
        try:
            chunk = decoder.decompress(stored, _CHUNK_BYTES)
        except _ZLIB_ERROR as error:
            raise MemberError("damaged", f"gzip member: {error}") from None
        if chunk:
            yield chunk
        elif not stored and not decoder.eof:
            raise MemberError("truncated", "the file ends inside a gzip member")
    return position - len(decoder.unused_data)


def _decode_whole_gzip(data: mmap.mmap, offset: int) -> tuple[bytes, int] | None:
    """Return the bytes of a sound member of at most `_WHOLE_BYTES`, and the offset of its end.

    None does not say that the member is damaged.
    """
    flags = data[offset + 3 : offset + 4]
    if not flags or flags[0] & _UNCHECKED_FLAGS:
        return None
    decoder = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)
    pieces: list[bytes] = []
    position, room = offset, _WHOLE_BYTES
    with memoryview(data) as stored:
        while not decoder.eof:
            with stored[position : position + _READ_BYTES] as piece:
                position += len(piece)
                try:
                    pieces.append(decoder.decompress(piece, room))
                except _ISAL_ERROR:
                    return None
            room -= len(pieces[-1])
            if not decoder.eof and (room == 0 or not decoder.needs_input or position >= len(data)):
                return None
    return b"".join(pieces), position - len(decoder.unused_data)


def _decode_lz4(data: mmap.mmap, offset: int) -> Chunks:
    end = _lz4_frame_end(data, offset)
    try:
        with pa.CompressedInputStream(pa.BufferReader(data[offset:end]), "lz4") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise MemberError("damaged", f"LZ4 frame: {error}") from None
    return end


def _lz4_frame_end(data: mmap.mmap, offset: int) -> int:
    """Return the end of an LZ4 frame, by its block sizes (LZ4 Frame Format 1.6.3)."""
    flags = data[offset + 4] if offset + 4 < len(data) else 0
    position = offset + 7 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)
    checksum_bytes = 4 if flags & 0x10 else 0
    while True:
        word = data[position : position + 4]
        position += 4
        block_bytes = int.from_bytes(word, "little") & 0x7FFF_FFFF
        if len(word) == 4 and block_bytes == 0:
            position += 4 if flags & 0x04 else 0
        elif len(word) == 4:
            position += block_bytes + checksum_bytes
        if len(word) < 4 or position > len(data):
            raise MemberError("truncated", "the file ends inside an LZ4 frame")
        if block_bytes == 0:
            return position


PLAIN = Form("plain", WARC_MAGIC, _decode_plain)
GZIP = Form("gzip", b"\x1f\x8b\x08", _decode_gzip, decode_whole=_decode_whole_gzip)
LZ4 = Form("lz4", b"\x04\x22\x4d\x18", _decode_lz4, skip_frames)
FORMS = (GZIP, LZ4, PLAIN)
