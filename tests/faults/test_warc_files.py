"""Faults of WARC files: cut, flipped, garbage, wrong lengths, bombs, and wrong digests."""

import gzip
import random
import resource
import tracemalloc
import zlib

import pytest
import zstandard

from lm.errors import InputError
from pipelines.warc.records import Loss, WarcRecord, read_records
from tests.pipelines import warc_making as making
from tests.pipelines.extracting import extract

NUM_PAGES = 12
PAGES = making.pages(NUM_PAGES)
MEMBERS = making.members(PAGES)
STARTS = [sum(map(len, MEMBERS[:n])) for n in range(NUM_PAGES + 1)]
DICTIONARY = zstandard.train_dictionary(4096, making.pages(300))
FRAMES = [b"\x5d\x2a\x4d\x18" + len(DICTIONARY.as_bytes()).to_bytes(4, "little") + DICTIONARY.as_bytes()]
FRAMES += [zstandard.ZstdCompressor(dict_data=DICTIONARY, write_checksum=True).compress(data) for data in PAGES]
FRAME_STARTS = [sum(map(len, FRAMES[:n])) for n in range(NUM_PAGES + 2)]


def read(path):
    found = list(read_records(path))
    return [item for item in found if isinstance(item, WarcRecord)], [item for item in found if isinstance(item, Loss)]


def blocks(numbers):
    return [making.response(making.page(n)) for n in numbers]


@pytest.mark.fault(1)
def test_a_file_cut_at_any_byte_loses_the_cut_record_alone(tmp_path):
    stored, dice = b"".join(MEMBERS), random.Random(1)
    cuts = {*(dice.randrange(1, len(stored)) for _ in range(300)), *STARTS[1:-1], *(n + 1 for n in STARTS[:-1])}
    for cut in sorted(cuts):
        path = tmp_path / "cut.warc.gz"
        path.write_bytes(stored[:cut])
        records, losses = read(path)
        num_whole = sum(end <= cut for end in STARTS[1:])
        assert [item.block for item in records] == blocks(range(num_whole))
        expected = [] if cut in STARTS else [("cut.warc.gz", STARTS[num_whole], "truncated")]
        assert [(loss.warc_path, loss.offset, loss.reason) for loss in losses] == expected


@pytest.mark.fault(1)
def test_a_zstandard_file_cut_at_any_byte_loses_the_cut_record_alone(tmp_path):
    stored, dice = b"".join(FRAMES), random.Random(1)
    path = tmp_path / "cut.warc.zst"
    for cut in {*(dice.randrange(FRAME_STARTS[1], len(stored)) for _ in range(300)), *FRAME_STARTS[2:-1]}:
        path.write_bytes(stored[:cut])
        records, losses = read(path)
        num_whole = sum(end <= cut for end in FRAME_STARTS[2:])
        assert [item.block for item in records] == blocks(range(num_whole))
        assert [loss.reason for loss in losses] == ([] if cut in FRAME_STARTS else ["truncated"])


@pytest.mark.fault(2)
def test_a_flipped_bit_in_a_zstandard_file_loses_one_record_at_most(tmp_path):
    stored, dice = b"".join(FRAMES), random.Random(2)
    path = tmp_path / "flipped.warc.zst"
    num_lost = 0
    for place in [dice.randrange(8 * FRAME_STARTS[1], 8 * len(stored)) for _ in range(300)]:
        data = bytearray(stored)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        records, losses = read(path)
        damaged = sum(start <= place // 8 for start in FRAME_STARTS) - 2
        found = [item.block for item in records]
        others = blocks(n for n in range(NUM_PAGES) if n != damaged)
        assert found == others if len(found) < NUM_PAGES else found == blocks(range(NUM_PAGES))
        assert losses or len(found) == NUM_PAGES
        num_lost += len(found) < NUM_PAGES
    assert num_lost > 250


@pytest.mark.fault(2)
def test_a_damaged_dictionary_costs_records_and_never_gives_other_ones(tmp_path):
    dice = random.Random(3)
    path = tmp_path / "flipped.warc.zst"
    for place in [dice.randrange(8 * FRAME_STARTS[1]) for _ in range(100)]:
        data = bytearray(b"".join(FRAMES))
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        records, losses = read(path)
        assert {item.block for item in records} <= set(blocks(range(NUM_PAGES)))
        assert losses or len(records) == NUM_PAGES


@pytest.mark.fault(2)
def test_a_flipped_bit_loses_one_record_at_most(tmp_path):
    stored, dice = b"".join(MEMBERS), random.Random(2)
    path = tmp_path / "flipped.warc.gz"
    places = [dice.randrange(8 * len(stored)) for _ in range(300)]
    places += [8 * start + bit for start in STARTS[:-1] for bit in range(0, 80, 7)]
    num_lost = 0
    for place in places:
        data = bytearray(stored)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        records, losses = read(path)
        damaged = sum(start <= place // 8 for start in STARTS) - 1
        found = [item.block for item in records]
        whole, others = blocks(range(NUM_PAGES)), blocks(n for n in range(NUM_PAGES) if n != damaged)
        assert found == (others if losses else whole)
        assert [loss.offset for loss in losses] in ([], [STARTS[damaged]])
        num_lost += len(losses)
    assert num_lost > 300


@pytest.mark.fault(3)
@pytest.mark.parametrize(
    "garbage", [b"\0" * 512, random.Random(3).randbytes(5000), b"\r\n", b"<html>502</html>", b"\x1f\x8b\x08"]
)
@pytest.mark.parametrize("is_compressed", [True, False])
def test_garbage_between_records_is_skipped_and_named(tmp_path, garbage, is_compressed):
    parts = MEMBERS if is_compressed else PAGES
    file = making.write(tmp_path / "x.warc", *parts[:3], garbage, *parts[3:])
    records, losses = read(file.path)
    assert [item.block for item in records] == blocks(range(NUM_PAGES))
    start = sum(map(len, parts[:3]))
    if garbage == b"\r\n" and not is_compressed:
        assert losses == []
    else:
        (loss,) = losses
        assert loss.offset == start
        assert loss.reason == ("damaged" if is_compressed and garbage == b"\x1f\x8b\x08" else "garbage")
        assert loss.reason == "damaged" or f"bytes {start} to {start + len(garbage)} " in loss.detail


@pytest.mark.fault(4)
@pytest.mark.parametrize("length", ["-1", "999999999999", "9e9", "15000000", "1000000", "10", "0", "many", "", "1 000"])
@pytest.mark.parametrize("form", ["plain", "members", "one member"])
def test_a_wrong_content_length_loses_that_record_alone(tmp_path, length, form):
    wrong = making.record(making.response(making.page(5)), number=5, length=length, digest=False)
    parts = [*PAGES[:5], wrong, *PAGES[6:]]
    stored = {"plain": parts, "members": making.members(parts), "one member": [gzip.compress(b"".join(parts))]}[form]
    records, losses = read(making.write(tmp_path / "x.warc", *stored).path)
    assert [item.block for item in records] == blocks(n for n in range(NUM_PAGES) if n != 5)
    (loss,) = losses
    assert loss.reason in ("bad_header", "bad_length")


@pytest.mark.fault(5)
def test_a_bomb_in_a_zstandard_file_costs_no_memory(tmp_path):
    num_bytes = 600 << 20
    packer = zstandard.ZstdCompressor(level=19).compressobj()
    stored = [packer.compress(making.record(b"", number=1, length=num_bytes).removesuffix(b"\r\n\r\n"))]
    stored += [packer.compress(bytes(1 << 20)) for _ in range(600)] + [packer.compress(b"\r\n\r\n"), packer.flush()]
    assert sum(map(len, stored)) < 700_000
    whole = [zstandard.ZstdCompressor().compress(PAGES[number]) for number in (0, 2)]
    file = making.write(tmp_path / "bomb.warc.zst", whole[0], *stored, whole[1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    records, losses = read(file.path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before <= 64 << 10
    assert [item.block for item in records] == blocks([0, 2])
    assert [loss.reason for loss in losses] == ["too_large"]


@pytest.mark.fault(5)
@pytest.mark.parametrize("bomb", ["record", "body"])
def test_a_decompression_bomb_costs_no_memory(tmp_path, bomb):
    num_bytes = 600 << 20
    packer = zlib.compressobj(9, wbits=31)
    if bomb == "record":
        head = making.record(b"", number=1, length=num_bytes).removesuffix(b"\r\n\r\n")
        stored = [packer.compress(head)]
        stored += [packer.compress(bytes(1 << 20)) for _ in range(600)] + [packer.flush()]
        parts = [MEMBERS[0], *stored, MEMBERS[2]]
    else:
        body = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(600)), packer.flush()])
        assert len(body) < 700_000
        parts = [
            MEMBERS[0],
            *making.members([making.record(making.response(body, headers=["Content-Encoding: gzip"]), number=1)]),
            MEMBERS[2],
        ]
    file = making.write(tmp_path / "bomb.warc.gz", *parts)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    rows = extract(file)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row["url"] for row in rows["documents"]] == ["https://example.org/0", "https://example.org/2"]
    assert [row["reason"] for row in rows["losses"]] + [row["rule"] for row in rows["removed"]] == ["too_large"]
    assert peak_bytes < 64 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.fault(6)
def test_a_wrong_digest_loses_the_record(tmp_path):
    wrong = making.record(making.response(making.page(5)), number=5, digest=making.block_digest(b"another block"))
    rows = extract(making.write(tmp_path / "x.warc.gz", *MEMBERS[:5], *making.members([wrong]), *MEMBERS[6:]))
    assert [(row["reason"], row["offset"]) for row in rows["losses"]] == [("digest", STARTS[5])]
    assert len(rows["documents"]) == NUM_PAGES - 1


@pytest.mark.fault(7)
@pytest.mark.parametrize("content", [b"", b"<!doctype html><title>503 Service Unavailable</title>"])
def test_no_warc_file_ends_with_its_name(tmp_path, content):
    file = making.write(tmp_path / "x.warc.gz", content)
    with pytest.raises(InputError) as failure:
        extract(file)
    assert str(file.path) in str(failure.value)
    assert failure.value.exit_code == 2
