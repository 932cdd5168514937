"""Zstandard WARC files (`.warc.zst`): one frame a record, after a shared dictionary.

The dictionary lies in a skippable frame at the file's beginning, compressed itself or not. Frames are found by their
block headers, so that a record's end is known before decoding. Decoding yields at most 1 MiB at a time, so a
decompression bomb costs time, not memory.

Sources: https://iipc.github.io/warc-specifications/specifications/warc-zstd/ and RFC 8878, section 3.1.
"""

from __future__ import annotations

import mmap
from contextlib import suppress

import zstandard

from pipelines.warc.compression import Chunks, Form, MemberError, skip_frames

_MAGIC = b"\x28\xb5\x2f\xfd"
_DICTIONARY_FRAME = b"\x5d\x2a\x4d\x18"
_CHUNK_BYTES = 1 << 20
_MAX_WINDOW_BYTES = 1 << 26
_MAX_DICTIONARY_BYTES = 1 << 25
_RLE = 1


def zstd_form(data: mmap.mmap) -> Form:
    """Return the Zstandard format with this file's dictionary, if any; without a usable dictionary its frames count as
    damaged.
    """
    decompressor = _decompressor(_dictionary(data))

    def decode(data: mmap.mmap, offset: int) -> Chunks:
        end = _frame_end(data, offset)
        try:
            with decompressor.stream_reader(data[offset:end]) as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    yield chunk
        except zstandard.ZstdError as error:
            raise MemberError("damaged", f"Zstandard frame: {error}") from None
        return end

    return Form("Zstandard", _MAGIC, decode, skip_frames)


def _decompressor(dictionary: bytes) -> zstandard.ZstdDecompressor:
    if dictionary:
        with suppress(zstandard.ZstdError):
            shared = zstandard.ZstdCompressionDict(dictionary)
            return zstandard.ZstdDecompressor(dict_data=shared, max_window_size=_MAX_WINDOW_BYTES)
    return zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)


def _dictionary(data: mmap.mmap) -> bytes:
    if data[:4] != _DICTIONARY_FRAME:
        return b""
    stored = data[8 : min(skip_frames(data, 0, most=1), 8 + _MAX_DICTIONARY_BYTES)]
    if not stored.startswith(_MAGIC):
        return stored
    try:
        with zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES).stream_reader(stored) as stream:
            return stream.read(_MAX_DICTIONARY_BYTES)
    except zstandard.ZstdError:
        return b""


def _frame_end(data: mmap.mmap, offset: int) -> int:
    """Return the end of a frame, by its header and the headers of its blocks (RFC 8878, section 3.1.1)."""
    descriptor = data[offset + 4] if offset + 4 < len(data) else 0
    is_single_segment = bool(descriptor & 0x20)
    size_bytes = (1 if is_single_segment else 0, 2, 4, 8)[descriptor >> 6]
    position = offset + 5 + (not is_single_segment) + (0, 1, 2, 4)[descriptor & 0x03] + size_bytes
    is_last = False
    while not is_last:
        header = int.from_bytes(data[position : position + 3], "little")
        is_last, kind, num_bytes = bool(header & 1), header >> 1 & 3, header >> 3
        if position + 3 <= len(data) and kind == 3:
            raise MemberError("damaged", "Zstandard frame: a block of a reserved kind")
        position += 3 + (1 if kind == _RLE else num_bytes)
        if position > len(data):
            raise MemberError("truncated", "the file ends inside a Zstandard frame")
    position += 4 if descriptor & 0x04 else 0
    if position > len(data):
        raise MemberError("truncated", "the file ends inside a Zstandard frame")
    return position
