"""The WARC files as another reader sees them: fastwarc on sound records, and damage where the truth says it is."""

import io
import re
import zlib
from collections import Counter

import pyarrow as pa
import pytest

from pipelines.demo_crawl.plan import DAMAGE_SHARES, LOSING_DAMAGE
from pipelines.demo_crawl.records import chunked, gzip_member, sha1_digest, spoiled_member
from pipelines.demo_crawl.scoring import score_extraction

fastwarc = pytest.importorskip("fastwarc.warc")
html2text = pytest.importorskip("resiliparse.extract.html2text")

MAGIC = b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


def members(data: bytes):
    """Every gzip member, `(bytes, content or None where it is damaged)`."""
    at = 0
    while at < len(data):
        stream = zlib.decompressobj(31)
        try:
            content = stream.decompress(data[at:])
        except zlib.error:
            content = None
        if content is not None and stream.eof:
            end = len(data) - len(stream.unused_data)
        else:
            content, end = None, data.find(MAGIC, at + 1)
            end = len(data) if end < 0 else end
        yield data[at:end], content
        at = end


def is_response(content: bytes | None) -> bool:
    return content is not None and b"WARC-Type: response" in content[:40]


def doc_id_of(content: bytes) -> str:
    return re.search(rb"WARC-Record-ID: <urn:uuid:([0-9a-f-]{36})>", content)[1].decode()


@pytest.fixture(scope="module")
def stored(demo_crawl):
    files = sorted((demo_crawl.folder / "warc").iterdir())
    return [(path.name, *member) for path in files for member in members(path.read_bytes())]


@pytest.fixture(scope="module")
def sound(demo_crawl, stored):
    """The gzip member of each response that no damage loses, by document."""
    rows = {row["doc_id"]: row for row in demo_crawl.rows if row["damage"] not in LOSING_DAMAGE}
    responses = ((member, content) for _, member, content in stored if is_response(content))
    return {doc_id: member for member, content in responses if (doc_id := doc_id_of(content)) in rows}


def read(member: bytes, **options):
    return next(iter(fastwarc.ArchiveIterator(io.BytesIO(member), **options)))


def test_every_sound_record_keeps_its_promises(demo_crawl, sound):
    expected = [row["doc_id"] for row in demo_crawl.rows if row["damage"] not in LOSING_DAMAGE]
    assert sorted(sound) == sorted(expected)
    for member in sound.values():
        assert read(member, parse_http=False).verify_block_digest()
        assert read(member, parse_http=True, auto_decode="none").verify_payload_digest()


def test_each_page_has_its_request_and_metadata(demo_crawl, stored):
    kinds = Counter(re.search(rb"WARC-Type: (\w+)", content)[1].decode() for _, _, content in stored if content)
    num_pages, damage = demo_crawl.config.num_pages, demo_crawl.counts["num_pages_by_damage"]
    assert kinds == {
        "warcinfo": demo_crawl.config.num_warc_files,
        "request": num_pages,
        "metadata": num_pages - damage["truncated"],
        "response": num_pages - damage["truncated"] - damage["bad_gzip"],
    }


def test_records_lie_in_the_file_of_the_truth(demo_crawl, stored):
    files = {row["doc_id"]: row["warc_file"] for row in demo_crawl.rows}
    for name, _, content in stored:
        if is_response(content):
            assert files[doc_id_of(content)] == name


def test_digests_and_lengths_lie_only_where_damaged(demo_crawl, stored):
    damage = {row["doc_id"]: row["damage"] for row in demo_crawl.rows}
    found = {"bad_digest": [], "bad_length": []}
    for _, _, content in stored:
        if content is None:
            continue
        head, _, rest = content.partition(b"\r\n\r\n")
        block = rest.removesuffix(b"\r\n\r\n")
        length = int(re.search(rb"Content-Length: (\d+)", head)[1])
        digest = re.search(rb"WARC-Block-Digest: (\S+)", head)[1].decode()
        if length != len(block):
            found["bad_length"].append(doc_id_of(content))
        elif digest != sha1_digest(block):
            found["bad_digest"].append(doc_id_of(content))
    for kind, doc_ids in found.items():
        assert doc_ids and all(damage[doc_id] == kind for doc_id in doc_ids)
        assert len(doc_ids) == demo_crawl.counts["num_pages_by_damage"][kind]


def test_damaged_members_are_as_many_as_planned(demo_crawl, stored):
    damage = demo_crawl.counts["num_pages_by_damage"]
    assert sum(content is None for _, _, content in stored) == damage["bad_gzip"] + damage["truncated"]
    assert stored[-1][2] is None  # the cut one ends the last file
    assert {*DAMAGE_SHARES, "none", "truncated"} == damage.keys()


def test_a_perfect_extractor_finds_the_body(demo_crawl, sound):
    """All text of a page, menus and all, contains each line of the body, whatever the transfer and content coding."""
    rows = {row["doc_id"]: row for row in demo_crawl.rows}
    codings = Counter()
    for doc_id, member in sound.items():
        record = read(member, parse_http=True, auto_decode="all")
        codings[record.http_headers.get("Transfer-Encoding"), record.http_headers.get("Content-Encoding")] += 1
        content = record.reader.read()
        try:
            page = content.decode("utf-8")
        except UnicodeDecodeError:
            page = content.decode("windows-1252")
        text = " ".join(html2text.extract_plain_text(page, main_content=False, list_bullets=False).split())
        for line in rows[doc_id]["body_text"].split("\n"):
            assert line in text, (rows[doc_id]["url"], line)
    assert codings["chunked", None] > 10 and codings[None, "gzip"] > 10 and codings[None, None] > 300


def test_wrong_charsets_are_really_wrong(demo_crawl, sound):
    """Decoding as the header or the page says garbles the body or fails."""
    wrong = [row for row in demo_crawl.rows if row["damage"] == "wrong_charset"]
    assert wrong
    for row in wrong:
        record = read(sound[row["doc_id"]], parse_http=True, auto_decode="all")
        content, declared = record.reader.read(), record.http_charset or "utf-8"
        lines = row["body_text"].split("\n")
        assert not all(line in content.decode(declared, "replace") for line in lines), row["url"]


def test_main_content_extraction_is_near_the_body(demo_crawl, sound):
    """resiliparse's main content holds most of the good bodies, and its mistakes leave an extractor something to do."""
    rows = {row["doc_id"]: row for row in demo_crawl.rows if row["quality"] == "high" and row["damage"] == "none"}
    texts = []
    for doc_id in rows:
        page = read(sound[doc_id], parse_http=True, auto_decode="all").reader.read()
        page = page.decode("utf-8" if b'charset="utf-8"' in page else "iso-8859-1")
        text = html2text.extract_plain_text(page, main_content=True, comments=False, list_bullets=False)
        texts.append({"doc_id": doc_id, "text": text})
    scores = score_extraction(demo_crawl.truth, pa.Table.from_pylist(texts))
    assert scores["recall"] > 0.95 and 0.9 < scores["precision"] < 1


def test_a_spoiled_member_cannot_be_read_but_keeps_its_length():
    member = gzip_member(b"".join(b"line %d of many\n" % number for number in range(400)))
    spoiled = spoiled_member(member)
    assert len(spoiled) == len(member)
    with pytest.raises(zlib.error):
        zlib.decompress(spoiled, 31)


def test_members_hold_no_time():
    assert gzip_member(b"x")[4:8] == b"\0\0\0\0"


def test_chunked_coding():
    assert chunked(b"abcdefgh", 3) == b"3\r\nabc\r\n3\r\ndef\r\n2\r\ngh\r\n0\r\n\r\n"
