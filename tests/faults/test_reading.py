"""Faults of reading: damaged files, hostile pages, wrong charsets, and failing servers."""

import gzip
import http.server
import random
import resource
import time
import tracemalloc
import zlib

import pytest
import zstandard

from lm.errors import InputError
from pipelines.common_crawl import download_path, list_paths
from pipelines.extract import records as extract_module
from pipelines.extract.html import extract_text
from pipelines.extract.records import ExtractConfig, extract_warc_files
from pipelines.extract.sandbox import Guard
from pipelines.fetch.download import Downloader, DownloadPolicy
from pipelines.warc.records import Loss, WarcRecord, read_records
from tests.pipelines import warc_making as making
from tests.pipelines.crawl_server import CrawlServer, Fault

NUM_PAGES = 12
PAGES = making.pages(NUM_PAGES)
MEMBERS = making.members(PAGES)
STARTS = [sum(map(len, MEMBERS[:n])) for n in range(NUM_PAGES + 1)]
DICTIONARY = zstandard.train_dictionary(4096, making.pages(300))
FRAMES = [b"\x5d\x2a\x4d\x18" + len(DICTIONARY.as_bytes()).to_bytes(4, "little") + DICTIONARY.as_bytes()]
FRAMES += [zstandard.ZstdCompressor(dict_data=DICTIONARY, write_checksum=True).compress(data) for data in PAGES]
FRAME_STARTS = [sum(map(len, FRAMES[:n])) for n in range(NUM_PAGES + 2)]
IMPATIENT = DownloadPolicy(max_attempts=5, backoff_s=0.01, max_backoff_s=0.5, min_interval_s=0.0, read_timeout_s=2.0)


def read(path):
    found = list(read_records(path))
    return [item for item in found if isinstance(item, WarcRecord)], [item for item in found if isinstance(item, Loss)]


def blocks(numbers):
    return [making.response(making.page(n)) for n in numbers]


def extract(*files, **values):
    batches = list(extract_warc_files(files, "test", ExtractConfig(**values)))
    rows = {"documents": [], "removed": [], "losses": []}
    for batch in batches:
        for name, table in rows.items():
            table += getattr(batch, name).to_pylist()
        counts = batch.counts
        held = (counts.get("num_kept", 0), counts.get("num_removed", 0), counts.get("num_lost", 0))
        assert counts["num_records"] == sum(held)
        assert held == (batch.documents.num_rows, batch.removed.num_rows, batch.losses.num_rows)
    return rows


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


NESTED = b"<div>" * 30_000 + b"deep" + b"</div>" * 30_000
ATTRIBUTES = b"<p " + b" ".join(b'a%d="x"' % n for n in range(40_000)) + b">wide</p>"


@pytest.mark.fault(8)
def test_a_hostile_page_costs_its_limit_and_no_more(tmp_path):
    hostile = [making.record(making.response(body), number=90 + n) for n, body in enumerate([NESTED, ATTRIBUTES])]
    file = making.write(tmp_path / "x.warc.gz", *making.members([PAGES[0], hostile[0], PAGES[1], hostile[1], PAGES[2]]))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = extract(file, timeout_s=1.0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert [(row["url"], row["rule"]) for row in rows["removed"]] == [("https://example.org/91", "timeout")]
    kept = {row["url"].rsplit("/", 1)[1]: row["text"] for row in rows["documents"]}
    assert list(kept) == ["0", "90", "1", "2"]
    assert kept["90"] == "deep"  # nesting is read in linear time
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2 * (1.0 + 1.0)


@pytest.mark.fault(9)
@pytest.mark.parametrize(
    ("word", "rule"),
    [("signal SIGSEGV", "crashed"), ("signal SIGKILL", "out_of_memory"), ("allocate 9000000000", "out_of_memory")],
)
def test_the_page_that_kills_its_child_is_quarantined(tmp_path, monkeypatch, word, rule):
    monkeypatch.setattr(extract_module, "Guard", lambda _, *rest: Guard("tests.faults.fatal_pages:extractor", *rest))
    fatal = making.record(making.response(f"<p>kill: {word}</p>".encode()), number=90)
    rows = extract(making.write(tmp_path / "x.warc", *PAGES[:3], fatal, *PAGES[3:]))
    assert len(rows["documents"]) == NUM_PAGES
    (removal,) = rows["removed"]
    assert (removal["rule"], removal["url"]) == (rule, "https://example.org/90")
    assert removal["doc_id"] == "00000000-0000-0000-0000-00000000005b"


WORDS = "Große Äpfel, žluťoučký kůň, Привет"


@pytest.mark.fault(10)
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (f"<p>{WORDS}</p>".encode(), "text/html; charset=iso-8859-1"),
        (f"<p>{WORDS}</p>".encode(), "text/html; charset=utf-16"),
        (f"<p>{WORDS}</p>".encode(), "text/html; charset=klingon"),
        (f"<p>{WORDS}</p>".encode("utf-16"), "text/html; charset=utf-8"),
        (f"<html><body><p>{WORDS}</p>".encode("utf-16-le"), "text/html; charset=utf-8"),
        (f"<html><body><p>{WORDS}</p>".encode("utf-16-be"), "text/html"),
        (b"<p>Gro\0\0\xc3\x9fe \xc3\x84pfel, " + WORDS[13:].encode() + b"</p>\0", "text/html; charset=utf-8"),
        (b"<p>" + WORDS.encode() + b"&#xD800;&#0;\xed\xa0\x80</p>", "text/html; charset=utf-8"),
    ],
)
def test_text_is_valid_utf8_whatever_the_charset_says(body, content_type):
    text = extract_text(body, content_type=content_type)
    assert text.encode("utf-8").decode("utf-8") == text
    assert "\0" not in text
    assert text.replace("\ufffd", "").startswith(WORDS)


@pytest.mark.fault(10)
def test_noise_is_dropped_as_encoding(tmp_path):
    noise = b"<html><body><p>" + b"\x81\x8d\x8f\x90\x9d\xff" * 500 + b"</p>"
    rows = extract(making.write(tmp_path / "x.warc", PAGES[0], making.record(making.response(noise), number=90)))
    for row in rows["documents"]:
        row["text"].encode("utf-8")
    assert [row["rule"] for row in rows["removed"]] == ["encoding"]


@pytest.mark.fault(35)
@pytest.mark.parametrize(
    "path", ["../../x", "/etc/passwd", "a/../../x", "a//b", "a\\b", "..", "", "a/\0", "~/x", "a/./b"]
)
def test_a_listing_cannot_climb(tmp_path, path):
    with CrawlServer(
        {"crawl-data/CC-MAIN-2024-22/warc.paths.gz": gzip.compress(f"ok/a.warc.gz\n{path}\nb\n".encode())}
    ) as server:
        if path.strip():
            with pytest.raises(InputError, match="refused as a path"):
                list_paths("CC-MAIN-2024-22", "warc", server.url, downloader=Downloader(IMPATIENT))
        with pytest.raises(InputError, match="refused as a path"):
            download_path(path, tmp_path, server.url, Downloader(IMPATIENT))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(35)
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2/x",
        "http://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/x",
        "file:///etc/passwd",
        "//other.example/x",
        "ftp://127.0.0.1/x",
        "http://127.0.0.1:1/x",
    ],
)
def test_a_redirect_stays_on_its_host(tmp_path, location):
    with CrawlServer({"a.warc.gz": b"x"}) as server:
        server.faults = [Fault(status=302, headers={"Location": location})]
        with pytest.raises(InputError, match="redirect"):
            Downloader(IMPATIENT).download(server.url + "a.warc.gz", tmp_path / "a.warc.gz")
    assert not (tmp_path / "a.warc.gz").exists()


@pytest.mark.fault(35)
@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "https://192.168.1.1/x",
        "https://user:secret@example.org/",
        "ftp://h/x",
        "https:///x",
        "x",
    ],
)
def test_addresses_that_are_refused(tmp_path, url):
    with pytest.raises(InputError):
        Downloader(IMPATIENT).download(url, tmp_path / "x")


CONTENT = random.Random(37).randbytes(3_000_000)


@pytest.mark.fault(37)
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([Fault(status=503), Fault(status=429), Fault(status=403)], id="refusals"),
        pytest.param([Fault(cut_at=1_000_000), Fault(cut_at=1), Fault(cut_at=700_000)], id="cut"),
        pytest.param([Fault(cut_at=0, reset=True)], id="reset"),
        pytest.param([Fault(cut_at=500_000, reset=True), Fault(status=500)], id="reset, then refused"),
        pytest.param([Fault(cut_at=500_000, stall_s=3.0)], id="stall"),
        pytest.param([Fault(cut_at=500_000), Fault(ignore_range=True)], id="ranges not supported"),
    ],
)
def test_a_download_survives(tmp_path, faults):
    target = tmp_path / "deep" / "a.warc.gz"
    with CrawlServer({"a.warc.gz": CONTENT}) as server:
        server.faults = list(faults)
        Downloader(IMPATIENT).download(server.url + "a.warc.gz", target)
        assert len(server.requests) == len(faults) + (faults[-1].ignore_range is False)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["a.warc.gz"]


@pytest.mark.fault(37)
def test_a_later_run_resumes_by_range(tmp_path):
    target = tmp_path / "a.warc.gz"
    with CrawlServer({"a.warc.gz": CONTENT}) as server:
        server.faults = [Fault(cut_at=1_000_000), *[Fault(status=503)] * 4]
        with pytest.raises(InputError, match=r"a\.warc\.gz: gave up after 5 attempts: HTTP status 503"):
            Downloader(IMPATIENT).download(server.url + "a.warc.gz", target)
        assert not target.exists()
        Downloader(IMPATIENT).download(server.url + "a.warc.gz", target)
        assert server.requests[-1].headers["Range"] == "bytes=1000000-"
        assert server.requests[-1].headers["If-Range"]
    assert target.read_bytes() == CONTENT


@pytest.mark.fault(37)
@pytest.mark.parametrize("honours_if_range", [True, False])
def test_a_file_that_changes_between_retries_is_never_mixed(tmp_path, honours_if_range):
    target = tmp_path / "a.warc.gz"
    with CrawlServer({"a.warc.gz": CONTENT}) as server:
        server.faults = [
            Fault(cut_at=1_000_000, then_replace=CONTENT[::-1]),
            Fault(ignore_if_range=not honours_if_range),
        ]
        Downloader(IMPATIENT).download(server.url + "a.warc.gz", target)
    assert target.read_bytes() == CONTENT[::-1]


@pytest.mark.fault(37)
def test_retry_after_is_obeyed(tmp_path):
    with CrawlServer({"a": b"x"}) as server:
        server.faults = [Fault(status=503, headers={"Retry-After": "1"})]
        start = time.monotonic()
        Downloader(DownloadPolicy(backoff_s=0.0, min_interval_s=0.0)).download(server.url + "a", tmp_path / "a")
        assert 1.0 <= time.monotonic() - start < 3.0


@pytest.mark.fault(37)
def test_a_pause_that_is_too_long_is_told(tmp_path):
    patient = DownloadPolicy(backoff_s=0.0, min_interval_s=0.0, max_retry_after_s=60.0)
    with CrawlServer({"a": b"x"}) as server:
        server.faults = [Fault(status=429, headers={"Retry-After": "7200"})]
        with pytest.raises(InputError, match=r"a: HTTP status 429, Retry-After 7,200 s"):
            Downloader(patient).download(server.url + "a", tmp_path / "a")
        assert len(server.requests) == 1


@pytest.mark.fault(37)
def test_a_wrong_digest_and_a_missing_file_are_not_retried(tmp_path):
    with CrawlServer({"a": b"x"}) as server:
        with pytest.raises(InputError, match=r"sha256 is 2d71164.*expected 00"):
            Downloader(IMPATIENT).download(server.url + "a", tmp_path / "a", sha256="00")
        with pytest.raises(InputError, match="HTTP status 404"):
            Downloader(IMPATIENT).download(server.url + "b", tmp_path / "b")
        assert len(server.requests) == 2
    assert not (tmp_path / "a").exists()


@pytest.mark.fault(37)
def test_a_server_that_is_not_there(tmp_path):
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as closed:
        port = closed.server_address[1]
    with pytest.raises(InputError, match=f"127.0.0.1:{port}/a: gave up after 5 attempts"):
        Downloader(IMPATIENT).download(f"http://127.0.0.1:{port}/a", tmp_path / "a")
