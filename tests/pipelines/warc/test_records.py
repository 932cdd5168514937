"""Records from stored files: every compression, every kind of damaged record, and files that are not WARC files."""

import gzip

import pyarrow as pa
import pytest
import zstandard

from lm.errors import ConfigurationError, InputError
from pipelines.warc.records import Loss, WarcLimits, WarcRecord, read_records
from tests.pipelines import warc_making as making

PAGES = making.pages(5)


def read(path, **limits):
    """The numbers of the records that were read, and the losses."""
    found = list(read_records(path, limits=WarcLimits(**limits)))
    records = [item for item in found if isinstance(item, WarcRecord)]
    return [int(item.target_uri.rsplit("/", 1)[1]) for item in records], [
        item for item in found if isinstance(item, Loss)
    ]


def lz4_frame(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def zstd_frame(data, dictionary=None):
    return zstandard.ZstdCompressor(dict_data=dictionary, write_checksum=True).compress(data)


def skippable(content):
    return b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content


DICTIONARY = zstandard.train_dictionary(4096, making.pages(300)).as_bytes()
SHARING = [zstd_frame(data, zstandard.ZstdCompressionDict(DICTIONARY)) for data in PAGES]
SHARING_NONE = [zstd_frame(data) for data in PAGES]


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(PAGES, id="plain"),
        pytest.param(making.members(PAGES), id="gzip, a member each"),
        pytest.param([gzip.compress(b"".join(PAGES))], id="gzip, one member"),
        pytest.param([gzip.compress(b"".join(PAGES[:2])), gzip.compress(b"".join(PAGES[2:]))], id="gzip, two members"),
        pytest.param([lz4_frame(data) for data in PAGES], id="lz4"),
        pytest.param([skippable(b"x"), *[lz4_frame(data) for data in PAGES]], id="lz4 after a skippable frame"),
        pytest.param([zstd_frame(data) for data in PAGES], id="Zstandard, a frame each"),
        pytest.param([zstd_frame(b"".join(PAGES))], id="Zstandard, one frame"),
        pytest.param([skippable(DICTIONARY), *SHARING], id="Zstandard with a dictionary"),
        pytest.param([skippable(zstd_frame(DICTIONARY)), *SHARING], id="Zstandard with a compressed dictionary"),
        pytest.param([*SHARING_NONE[:2], skippable(b""), *SHARING_NONE[2:]], id="Zstandard with a frame to skip"),
    ],
)
def test_every_form_gives_the_same_records(tmp_path, parts):
    file = making.write(tmp_path / "x.warc", *parts)
    records = list(read_records(file.path))
    assert [item.block for item in records] == [making.response(making.page(n)) for n in range(5)]
    assert [item.record_id[-13:-1] for item in records] == [f"{n + 1:012x}" for n in range(5)]
    assert {(item.type, item.date) for item in records} == {("response", "2024-05-18T01:58:10Z")}


def test_offsets_lead_back_to_the_record(tmp_path):
    stored = making.members(PAGES)
    compressed = making.write(tmp_path / "x.warc.gz", *stored)
    for number, item in enumerate(read_records(compressed.path)):
        assert item.offset == sum(map(len, stored[:number]))
        assert gzip.decompress(compressed.path.read_bytes()[item.offset :][: len(stored[number])]) == PAGES[number]
    plain = making.write(tmp_path / "x.warc", *PAGES)
    for number, item in enumerate(read_records(plain.path)):
        assert plain.path.read_bytes()[item.offset :].startswith(PAGES[number])


def test_a_record_longer_than_every_buffer(tmp_path):
    block = bytes(range(256)) * 20_000
    file = making.write(tmp_path / "x.warc.gz", *making.members([making.record(block), *PAGES[1:3]]))
    records = list(read_records(file.path))
    assert records[0].block == block
    assert len(records) == 3


def test_empty_members_and_members_of_line_ends_hold_nothing(tmp_path):
    stored = making.members([b"", PAGES[0], b"", b"\r\n", PAGES[1], PAGES[2] + b"\r\n", b""])
    assert read(making.write(tmp_path / "x.warc.gz", *stored).path) == ([0, 1, 2], [])


@pytest.mark.parametrize("newlines", [b"", b"\r\n", b"\n\n", b"\r\n\r\n\r\n"])
def test_writers_that_end_records_their_own_way(tmp_path, newlines):
    parts = [data.removesuffix(b"\r\n\r\n") + newlines for data in PAGES]
    assert read(making.write(tmp_path / "x.warc", *parts).path) == ([0, 1, 2, 3, 4], [])


def test_a_header_in_other_manners(tmp_path):
    header = b"WARC/0.18\nwarc-type: Response\nWARC-Record-ID: <urn:x>\nWARC-Target-URI: <http://a/\n b/1>\n"
    file = making.write(tmp_path / "x.warc", header + b"Content-Length:  2\n\nhi\n\n")
    (item,) = read_records(file.path)
    assert (item.type, item.target_uri, item.block) == ("response", "http://a/ b/1", b"hi")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (making.record(b"abc", number=7, digest=making.block_digest(b"abd")), "digest"),
        (making.record(making.response(b"abc"), number=7, digest=making.block_digest(b"abd")), "digest"),
        (making.record(b"abc", number=7).replace(b"WARC-Record-ID", b"WARC-Nothing"), "bad_header"),
        (making.record(b"abc" * 1000, number=7), "too_large"),
        (making.record(b"abc", number=7, extra=["X-Long: " + "x" * 5000]), "bad_header"),
        (b"\0" * 500, "garbage"),
        (b"no record at all\r\n\r\n", "garbage"),
    ],
)
@pytest.mark.parametrize("form", ["plain", "members", "one member"])
def test_a_wrong_record_is_lost_alone(tmp_path, form, wrong, reason):
    parts = [PAGES[0], wrong, PAGES[1]]
    stored = {"plain": parts, "members": making.members(parts), "one member": [gzip.compress(b"".join(parts))]}[form]
    file = making.write(tmp_path / "x.warc", *stored)
    numbers, losses = read(file.path, max_record_bytes=2000, max_header_bytes=2000)
    assert numbers == [0, 1]
    assert [loss.reason for loss in losses] == [reason]
    assert losses[0].warc_path == "x.warc"
    assert losses[0].offset == (0 if form == "one member" else len(stored[0]))


def test_a_too_large_record_is_passed_over_as_a_whole(tmp_path):
    nested = making.record(b"inner " + b"x" * 3000 + making.record(b"inner", number=66), number=7)
    for parts in ([PAGES[0], nested, PAGES[1]], making.members([PAGES[0], nested, PAGES[1]])):
        numbers, losses = read(making.write(tmp_path / "x.warc", *parts).path, max_record_bytes=2000)
        assert numbers == [0, 1]
        assert [loss.reason for loss in losses] == ["too_large"]


def test_damage_in_lz4_is_found(tmp_path):
    stored = [lz4_frame(data) for data in PAGES]
    place = stored[1].index(b"<h1>Page") + 5
    stored[1] = stored[1][:place] + bytes([stored[1][place] ^ 0x10]) + stored[1][place + 1 :]
    numbers, losses = read(making.write(tmp_path / "x.warc.lz4", *stored).path)
    assert numbers == [0, 2, 3, 4]
    assert [loss.offset for loss in losses] == [len(stored[0])]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"<html><body>502 Bad Gateway</body></html>", "<html><body>"),
        (b"Notes on WARC/1.0\r\nand more\r\n\r\n", "expected a WARC file"),
        (gzip.compress(b"plain text, packed"), "expected a WARC file"),
        (zstandard.ZstdCompressor().compress(b"plain text, packed"), "expected a WARC file"),
        (skippable(b"a dictionary and nothing else"), "expected a WARC file"),
        (b"filedesc://x.arc 0.0.0.0 20140216050221 text/plain 75\n1 0 X\n", "ARC"),
        (gzip.compress(b"filedesc://x.arc 0.0.0.0 20140216050221 text/plain 75\n"), "ARC"),
    ],
)
def test_what_is_no_warc_is_refused_by_name(tmp_path, content, words):
    path = tmp_path / "notes.warc.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as failure:
        list(read_records(path))
    assert str(path) in str(failure.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        list(read_records(tmp_path / "absent.warc.gz"))


def test_limits_are_checked():
    with pytest.raises(ConfigurationError, match="max_record_bytes"):
        WarcLimits(max_record_bytes=10)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", b"http/1.0 200\n\n", b"HTTP/1.1 404 No\r\n\r\n"])
@pytest.mark.parametrize("form", ["plain", "members"])
def test_a_block_digest_that_is_the_bodys_is_counted_and_kept(tmp_path, head, form):
    records = [making.record(head + b"<p>x", digest=making.block_digest(b"<p>x")), PAGES[1]]
    stored = records if form == "plain" else making.members(records)
    first, second = read_records(making.write(tmp_path / "x.warc", *stored).path)
    assert (first.block, first.digest_covers) == (head + b"<p>x", "payload")
    assert second.digest_covers == "block"
