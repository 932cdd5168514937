"""Reader of WARC and WET records: of a damaged file only the damaged records are lost, and each loss is counted.

    read_records(path) -> WarcRecord | Loss, in file order

A record is handed out only when its header reads, its block has the length that `Content-Length` says, its member's
checksum holds, and its block has the digest that is written beside it. Everything else becomes a `Loss`, and reading
goes on at the next record:

- in a compressed file at the next member that decodes to `WARC/`;
- inside a member, or in a plain file, at the next line `WARC/1.x` that a complete header follows.

    truncated   the file ends inside the record        bad_length  the record does not end where Content-Length says
    damaged     its compressed bytes do not decode     too_large   beyond `WarcLimits`
    digest      the block has another digest           garbage     a stretch of bytes that is not a record
    bad_header  a field missing or impossible

Decisions:
- `WARC-Payload-Digest` is not checked: writers disagree on whether it covers the body before or after de-chunking.
- Some writers put the body's digest into the block's field: such a record is whole, and `digest_covers` says `body`.
- The offset is that of the member in the stored file, so it finds the record again; in a plain file, the record's.
- Where one gzip member holds many records, they are handed out before the checksum at its end was reached.

Not covered: ARC (refused with a clear message), records divided into `continuation` segments.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from lm.configuration import Doc, Range, settle
from lm.errors import InputError
from pipelines.warc.compression import GZIP, LZ4, PLAIN, WARC_MAGIC, Form, MemberError, MemberReader
from pipelines.warc.header import (
    HEADER_END,
    VERSION_LINE,
    BadHeader,
    Covered,
    block_length,
    digest_covers,
    parse_header,
)
from pipelines.warc.zstd import zstd_form

LossReason = Literal["truncated", "damaged", "digest", "bad_header", "bad_length", "too_large", "garbage"]

_LOOKAHEAD_BYTES = 64
"""Bytes read beyond a block before the block is accepted: enough to reach the checksum of a member that ends there."""


@dataclass(frozen=True, kw_only=True)
class WarcLimits:
    """Memory limits for one record."""

    max_record_bytes: Annotated[int, Doc("Longest record."), Range(1_024)] = 16 * 2**20
    max_header_bytes: Annotated[int, Doc("Longest header of a record."), Range(1_024)] = 64 * 2**10

    def __post_init__(self) -> None:
        settle(self, "WarcLimits")


@dataclass(frozen=True, slots=True)
class WarcRecord:
    """One whole record: `block` is all that follows its header; the names in `headers` are in lower case.

    `digest_covers` names the content that the block's digest covers.
    """

    type: str
    record_id: str
    target_uri: str
    date: str
    offset: int
    headers: Mapping[str, str]
    block: bytes
    digest_covers: Covered = "block"


@dataclass(frozen=True, slots=True)
class Loss:
    """A record, or a stretch of bytes, that could not be read: a row of `LOSS_SCHEMA`."""

    warc_path: str
    offset: int
    reason: LossReason
    detail: str


def read_records(
    path: Path, *, limits: WarcLimits | None = None, name: str | None = None
) -> Iterator[WarcRecord | Loss]:
    """Read the records of a WARC file: gzip (a member each, or one for all), LZ4, Zstandard, or plain.

    `name` is the file's name in losses; the default is its own name.

    Raises:
        InputError: the file is missing, empty, an ARC file, or not a WARC file.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a WARC file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: empty, expected a WARC file")
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield from _Walk(data, _recognise(data, path), name or path.name, limits or WarcLimits()).records()


def _recognise(data: mmap.mmap, path: Path) -> Form:
    """Return the storage format of the file, also if its beginning is damaged or cut off."""
    forms = (GZIP, LZ4, zstd_form(data), PLAIN)
    for form in forms:
        offset = form.skip(data, 0)
        start = data[offset : offset + 16]
        if start and (start.startswith(form.magic) or form.magic.startswith(start)):
            head = form.head(data, offset)
            if head.startswith((WARC_MAGIC, b"filedesc:")) or not head or form is PLAIN:
                return _warc_form(form, head, path)
    start = data[:16]
    if start.startswith(b"filedesc:"):
        return _warc_form(PLAIN, start, path)
    for form in forms:
        if _holds_record(form, data):
            return form
    raise InputError(f"{path}: begins with {start!r} and holds no WARC record, expected a WARC file")


def _warc_form(form: Form, head: bytes, path: Path) -> Form:
    if head.startswith(b"filedesc:"):
        raise InputError(f"{path}: an ARC file, expected WARC (`warcio recompress` converts it)")
    return form


def _holds_record(form: Form, data: mmap.mmap) -> bool:
    offset = form.find(data, 0)
    while offset is not None:
        if _header_at(form.head(data, offset)) is not None:
            return True
        offset = form.find(data, offset + 1)
    return False


def _header_at(text: bytes | bytearray, start: int = 0) -> Mapping[str, str] | None:
    """Return the header that begins at `start`, where a usable one does."""
    end = HEADER_END.search(text, start)
    if end is None:
        return None
    try:
        fields = parse_header(bytes(text[start : end.start()]))
        block_length(fields)
    except BadHeader:
        return None
    return fields


def _is_terminator(tail: bytes) -> bool:
    """Return whether a record may end before `tail`: two line ends, the member's end, or the next record."""
    following = tail.lstrip(b"\r\n")
    return not following or tail.startswith(b"\r\n\r\n") or following.startswith(WARC_MAGIC)


def _record_of(fields: Mapping[str, str], offset: int, block: bytes, covered: Covered) -> WarcRecord:
    return WarcRecord(
        type=fields["warc-type"].lower(),
        record_id=fields["warc-record-id"],
        target_uri=fields.get("warc-target-uri", "").strip("<>"),
        date=fields.get("warc-date", ""),
        offset=offset,
        headers=fields,
        block=block,
        digest_covers=covered,
    )


class _Walk:
    """One pass over a stored file: member by member, record by record."""

    def __init__(self, data: mmap.mmap, form: Form, name: str, limits: WarcLimits) -> None:
        self.data = data
        self.form = form
        self.name = name
        self.limits = limits

    def records(self) -> Iterator[WarcRecord | Loss]:
        position = 0
        while (position := self.form.skip(self.data, position)) < len(self.data):
            if self.form is not PLAIN and not self.data[position : position + 8].startswith(self.form.magic):
                loss, position = self._between_members(position)
                yield loss
                continue
            self.reader = MemberReader(self.form, self.data, position)
            try:
                record = self._only_record()
                if record is not None:
                    yield record
                else:
                    yield from self._member()
                position = self.reader.end or len(self.data)
            except MemberError as error:
                following = self.form.find(self.data, position + 1)
                is_cut = error.reason == "truncated" and following is None
                yield Loss(self.name, position, "truncated" if is_cut else "damaged", str(error))
                position = len(self.data) if following is None else following

    def _between_members(self, position: int) -> tuple[Loss, int]:
        """Account for bytes that do not begin a member, and find the next member."""
        magic = self.form.magic
        following = self.form.find(self.data, position + 1)
        end = len(self.data) if following is None else following
        start = self.data[position : min(end, position + len(magic))]
        num_right = sum(found == expected for found, expected in zip(start, magic, strict=False))
        if end == len(self.data) and len(start) < len(magic) and num_right == len(start):
            return Loss(self.name, position, "truncated", f"the file ends inside a {self.form.name} header"), end
        # One wrong byte in the magic number is a member's damaged beginning; anything else was never a member.
        reason: LossReason = "damaged" if num_right == len(magic) - 1 else "garbage"
        return Loss(self.name, position, reason, f"bytes {position} to {end} are not a {self.form.name} member"), end

    def _member(self) -> Iterator[WarcRecord | Loss]:
        while self._next_line():
            yield self._record()

    def _only_record(self) -> WarcRecord | None:
        """Return the record of a member that holds one sound record and nothing else, as nearly all do; None for any
        other, which then stands in the reader's window.
        """
        if self.form is PLAIN:
            return None
        text = self.reader.whole()
        if text is None:
            return None
        record = self._sound_record(text)
        if record is None:
            self.reader.window += text
        return record

    def _sound_record(self, text: bytes) -> WarcRecord | None:
        header_end = HEADER_END.search(text, 0, self.limits.max_header_bytes)
        if header_end is None or not text.startswith(WARC_MAGIC):
            return None
        start = header_end.end()
        try:
            fields = parse_header(text[:start])
            size = block_length(fields)
        except BadHeader:
            return None
        if size > self.limits.max_record_bytes or text[start + size :] != b"\r\n\r\n":
            return None
        block = text[start : start + size]
        covered = digest_covers(fields.get("warc-block-digest", ""), block)
        return _record_of(fields, self.reader.offset, block, covered) if covered else None

    def _next_line(self) -> bool:
        """Drop line ends; False where the member ends."""
        while self.reader.fill(1):
            head = self.reader.window[:_LOOKAHEAD_BYTES]  # stripping the whole window would copy it for each record
            blank = len(head) - len(head.lstrip(b"\r\n"))
            if blank == 0:
                return True
            self.reader.drop(blank)
        return False

    def _offset(self) -> int:
        return self.reader.position if self.form is PLAIN else self.reader.offset

    def _record(self) -> WarcRecord | Loss:
        """Return the record at the window's beginning, or its loss; move the window past it."""
        self.reader.fill(len(WARC_MAGIC))
        if not self.reader.window.startswith(WARC_MAGIC):
            return self._garbage()
        header_end = self._header_end()
        if header_end is None:
            return self._lose(1, "bad_header", "the header has no end")
        try:
            fields = parse_header(bytes(self.reader.window[:header_end]))
            size = block_length(fields)
        except BadHeader as error:
            return self._lose(1, "bad_header", str(error))
        if size > self.limits.max_record_bytes:
            return self._too_large(header_end, size)
        return self._whole(fields, header_end, size)

    def _header_end(self) -> int | None:
        """Return the start of the block, after filling the window that far."""
        reader = self.reader
        while (end := HEADER_END.search(reader.window, 0, self.limits.max_header_bytes)) is None:
            if len(reader.window) >= self.limits.max_header_bytes or not reader.fill(len(reader.window) + 1):
                return None
        return end.end()

    def _whole(self, fields: Mapping[str, str], header_end: int, size: int) -> WarcRecord | Loss:
        """Return the record if its block has the right length and digest, else the loss."""
        reader, end = self.reader, header_end + size
        reader.fill(end + _LOOKAHEAD_BYTES)
        if len(reader.window) < end:
            missing = f"Content-Length is {size}, {len(reader.window) - header_end} bytes follow"
            return self._lose(header_end, "bad_length", missing)
        block = bytes(memoryview(reader.window)[header_end:end])
        digest = fields.get("warc-block-digest", "")
        covered = digest_covers(digest, block)
        if not _is_terminator(bytes(reader.window[end : end + _LOOKAHEAD_BYTES])) and not (digest and covered):
            return self._lose(header_end, "bad_length", f"no record ends {size} bytes after its header")
        offset = self._offset()
        reader.drop(end)
        if covered is None:
            return Loss(
                self.name, offset, "digest", f"{fields['warc-record-id']}: the block does not have the digest {digest}"
            )
        return _record_of(fields, offset, block, covered)

    def _too_large(self, header_end: int, size: int) -> Loss:
        """Skip a block that is too large to hold; if its length is wrong, resume after its header."""
        beyond = self.reader.at(self.reader.position + header_end + size)
        if beyond is None:
            return self._lose(header_end, "bad_length", f"Content-Length is {size}, fewer bytes follow")
        beyond.fill(_LOOKAHEAD_BYTES)
        if not _is_terminator(bytes(beyond.window[:_LOOKAHEAD_BYTES])):
            return self._lose(header_end, "bad_length", f"no record ends {size} bytes after its header")
        offset, self.reader = self._offset(), beyond
        return Loss(self.name, offset, "too_large", f"{size} bytes, the limit is {self.limits.max_record_bytes}")

    def _garbage(self) -> Loss:
        start, offset = self.reader.position, self._offset()
        is_cut = self.form is PLAIN and WARC_MAGIC.startswith(self.reader.window)
        self._seek(1)
        detail = f"bytes {start} to {self.reader.position} are not a record"
        return Loss(self.name, offset, "truncated" if is_cut else "garbage", detail)

    def _lose(self, start: int, reason: LossReason, detail: str) -> Loss:
        """Give up the record at the window's beginning and move to the next one from `start` on."""
        offset = self._offset()
        if not self._seek(start) and self.form is PLAIN:
            reason = "truncated"
        return Loss(self.name, offset, reason, detail)

    def _seek(self, start: int) -> bool:
        """Drop everything before the next usable record header; return False if the member has none."""
        reader = self.reader
        while True:
            version = VERSION_LINE.search(reader.window, start)
            if version is not None:
                reader.fill(version.start() + self.limits.max_header_bytes)
                if _header_at(reader.window, version.start()) is not None:
                    reader.drop(version.start())
                    return True
                start = version.end()
                continue
            keep = min(len(reader.window), 16)
            reader.drop(len(reader.window) - keep)
            start = 0
            if not reader.fill(keep + 1):
                reader.drop(keep)
                return False
