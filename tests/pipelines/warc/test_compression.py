"""The two decoders of gzip members: ISA-L decodes sound ones to what zlib-ng does, and zlib-ng all others."""

import gzip
import mmap
import random
import zlib

import pytest

from pipelines.warc import compression
from pipelines.warc.compression import GZIP, MemberError, MemberReader

BEFORE = b"what stands before the member"
RESERVED, HEADER_CRC, EXTRA, NAME, COMMENT = 0x20, 2, 4, 8, 16


def stored(*parts):
    """The parts as a file's pages, behind other bytes."""
    content = BEFORE + b"".join(parts)
    data = mmap.mmap(-1, len(content))
    data[:] = content
    return data


def outcome(data):
    """All bytes of the member and the offset of its end, or what is wrong with it, and the bytes before that."""
    reader, size = MemberReader(GZIP, data, len(BEFORE)), 0
    whole = reader.whole()
    if whole is not None:
        return "sound", whole, reader.end
    try:
        while reader.fill(size + 1):
            size = len(reader.window)
    except MemberError as error:
        return error.reason, bytes(reader.window), str(error)
    return "sound", bytes(reader.window), reader.end


def plain_outcome(data):
    """The outcome of zlib-ng alone."""
    found, chunks = b"", GZIP.decode(data, len(BEFORE))
    try:
        while True:
            found += next(chunks)
    except StopIteration as stop:
        return "sound", found, stop.value
    except MemberError as error:
        return error.reason, found, str(error)


def member(content, *, flags=0, extra=b"abc", name=b"name", level=6):
    """A gzip member with the header fields that `flags` name (RFC 1952)."""
    header = b"\x1f\x8b\x08" + bytes([flags]) + b"\x00" * 5 + b"\xff"
    header += len(extra).to_bytes(2, "little") + extra if flags & EXTRA else b""
    header += name + b"\0" if flags & NAME else b""
    header += b"a comment\0" if flags & COMMENT else b""
    header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little") if flags & HEADER_CRC else b""
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
    body = deflate.compress(content) + deflate.flush()
    return header + body + zlib.crc32(content).to_bytes(4, "little") + (len(content) & 0xFFFFFFFF).to_bytes(4, "little")


TEXT = b"some text, and more of it. " * 900


@pytest.mark.parametrize("flags", [0, EXTRA, NAME, COMMENT, EXTRA | NAME | COMMENT])
@pytest.mark.parametrize("size", [0, 1, 20_000, (1 << 22) - 1])
def test_isal_decodes_sound_members(size, flags):
    content = (TEXT * (size // len(TEXT) + 1))[:size]
    data = stored(member(content, flags=flags), b"\r\n what follows")
    end = len(data) - len(b"\r\n what follows")
    assert compression._decode_whole_gzip(data, len(BEFORE)) == (content, end)
    assert plain_outcome(data) == ("sound", content, end)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(member(TEXT)[:-1], id="no end"),
        pytest.param(member(TEXT)[:4], id="a part of the header"),
        pytest.param(member(TEXT)[:3], id="only the magic number"),
        pytest.param(member(TEXT)[:-8] + b"\0" * 8, id="another checksum"),
        pytest.param(member(TEXT)[:-4] + b"\1\0\0\0", id="another length"),
        pytest.param(member(TEXT, flags=RESERVED), id="a reserved flag"),
        pytest.param(
            member(TEXT, flags=HEADER_CRC)[:10] + b"??" + member(TEXT, flags=HEADER_CRC)[12:], id="header's sum"
        ),
        pytest.param(member(TEXT)[:40] + b"\xff" * 9 + member(TEXT)[49:], id="other bytes"),
        pytest.param(b"\x1f\x8b\x08\x00" + b"\x00" * 100, id="zeros"),
    ],
)
def test_a_broken_member_has_the_error_of_zlib(broken):
    for following in (b"", b"\r\n", member(TEXT)[:30]):
        data = stored(broken, following)
        assert outcome(data) == plain_outcome(data)
        assert compression._decode_whole_gzip(data, len(BEFORE)) is None


LONG_EXTRA = member(TEXT, flags=EXTRA, extra=b"x" * 65_535)
LONG_NAME = member(TEXT, flags=NAME, name=b"n" * 80_000)


@pytest.mark.parametrize("whole", [LONG_EXTRA, LONG_NAME], ids=["an extra field", "a name"])
def test_isal_decodes_members_whose_header_lies_in_two_reads(whole):
    data = stored(whole)
    assert compression._decode_whole_gzip(data, len(BEFORE)) == (TEXT, len(data))
    assert plain_outcome(data) == ("sound", TEXT, len(data))


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(member(TEXT, flags=HEADER_CRC), id="the header has a checksum"),
        pytest.param(member(b"\0" * ((1 << 22) + 1)), id="more than 4 MiB"),
        pytest.param(member(b"\0" * (50 << 20)), id="a bomb"),
    ],
)
def test_a_sound_member_that_isal_leaves_is_read_all_the_same(whole):
    data = stored(whole)
    assert compression._decode_whole_gzip(data, len(BEFORE)) is None
    expected = plain_outcome(data)
    assert expected[0] == "sound" and expected[2] == len(data)
    assert outcome(data) == expected


def test_an_incomplete_huffman_code_is_decoded():
    """A form of damage that only zlib refuses: codes of length 2 for two symbols, where two more have none."""
    data = stored(bytes.fromhex("1f8b08000000000000ff 05c081000000008020b6fda50e04 bd1d60a9 02000000"))
    assert outcome(data) == ("sound", b"AA", len(data))
    assert plain_outcome(data)[0] == "damaged"


@pytest.mark.parametrize("seed", range(8))
def test_both_decoders_agree_on_members_cut_and_changed_at_random(seed):
    draw = random.Random(seed)
    kinds = set()
    for _ in range(150):
        size = draw.choice([0, 1, 10, 300, 5_000, 70_000])
        content = draw.randbytes(size) if draw.random() < 0.3 else bytes(draw.choices(b"abcdef <>", k=size))
        data = bytearray(
            member(
                content,
                flags=draw.choice([0, 0, draw.randrange(32), draw.randrange(256)]),
                extra=draw.randbytes(draw.choice([0, 3, 65_000])),
                level=draw.choice([0, 1, 6, 9]),
            )
        )
        change = draw.random()
        if change < 0.3:
            for _ in range(draw.randrange(1, 4)):
                data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        elif change < 0.5:
            del data[draw.randrange(3, len(data)) :]
        elif change < 0.6:
            data[-8:] = draw.randbytes(8)
        pages = stored(bytes(data), draw.choice([b"", bytes(data[:50]), b"\r\n\r\n", draw.randbytes(20)]))
        expected = plain_outcome(pages)
        assert outcome(pages) == expected
        kinds.add((expected[0], compression._decode_whole_gzip(pages, len(BEFORE)) is None))
    assert kinds == {("sound", False), ("sound", True), ("damaged", True), ("truncated", True)}


def test_members_of_other_writers_are_the_same():
    for level in range(10):
        data = stored(gzip.compress(TEXT, level))
        assert compression._decode_whole_gzip(data, len(BEFORE)) == (TEXT, len(data))
