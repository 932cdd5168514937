"""Records to documents: rules, accounting, ids, order."""

import gzip
import uuid

import pyarrow as pa
import pytest

from lm.errors import ConfigurationError, InputError
from pipelines.documents.schema import DOCUMENT_SCHEMA, EXTRACTION_REMOVAL_SCHEMA, LOSS_SCHEMA, is_doc_id
from pipelines.extract.html import extract_text
from pipelines.extract.page_text import PageText, pack, unpack
from pipelines.extract.records import ExtractConfig, document_id, extract_warc_files
from tests.pipelines import warc_making as making

HOSTILE = b"<p " + b" ".join(b'a%d="x"' % n for n in range(40_000)) + b">wide</p>"


def extract(*files, num_workers=1, **values):
    """Documents, removals, losses and counts over all batches; the accounting is checked on the way."""
    batches = list(extract_warc_files(files, "test", ExtractConfig(**values), num_workers=num_workers))
    tables = [pa.Table.from_batches([batch.documents for batch in batches], DOCUMENT_SCHEMA)]
    tables.append(pa.Table.from_batches([batch.removed for batch in batches], EXTRACTION_REMOVAL_SCHEMA))
    tables.append(pa.Table.from_batches([batch.losses for batch in batches], LOSS_SCHEMA))
    counts = {}
    for batch in batches:
        for name, value in batch.counts.items():
            counts[name] = counts.get(name, 0) + value
    names = ("num_kept", "num_removed", "num_lost")
    assert [counts.get(name, 0) for name in names] == [table.num_rows for table in tables]
    assert counts.get("num_records", 0) == sum(table.num_rows for table in tables)
    return [table.to_pylist() for table in tables], counts


def test_a_document_says_where_it_came_from(tmp_path):
    stored = making.members(making.pages(3))
    (documents, removed, losses), counts = extract(making.write(tmp_path / "x.warc.gz", *stored))
    assert documents[1] == {
        "doc_id": "00000000-0000-0000-0000-000000000002",
        "url": "https://example.org/1",
        "crawl": "test",
        "warc_path": "x.warc.gz",
        "warc_offset": len(stored[0]),
        "fetched_at": "2024-05-18T01:58:10Z",
        "text": "\n".join(["Page 1", *(making.prose(100 + n) for n in range(3))]),
    }
    assert removed == losses == []
    assert counts == {"num_records": 3, "num_kept": 3, "charset_http": 3, "reading_strict": 3}


@pytest.mark.parametrize(
    ("block", "rule", "value"),
    [
        (making.response(making.page(1), status="404 Not Found"), "http_status", 404.0),
        (making.response(b"", status="301 Moved"), "http_status", 301.0),
        (making.response(b"{}", content_type="application/json"), "content_type", None),
        (making.response(b"%PDF-1.7"), "content_type", None),
        (making.response(b"GIF89a\1\0\1\0\x80", content_type=None), "content_type", None),
        (making.response(b"<html><script>x</script></html>"), "empty", None),
        (making.response(b"\x1f\x8b\x08 broken", headers=["Content-Encoding: gzip"]), "content_encoding", None),
        (making.response(gzip.compress(bytes(1 << 20)), headers=["Content-Encoding: gzip"]), "too_large", None),
        (b"no response", "bad_http", None),
        (b"", "bad_http", None),
    ],
)
def test_what_is_removed(tmp_path, block, rule, value):
    file = making.write(tmp_path / "x.warc", making.record(block, number=7), *making.pages(1))
    (documents, (removal,), _), _ = extract(file, max_body_bytes=500_000)
    assert len(documents) == 1
    assert (removal["stage"], removal["rule"], removal["value"]) == ("extract", rule, value)
    assert (removal["doc_id"], removal["url"]) == ("00000000-0000-0000-0000-000000000008", "https://example.org/7")
    place = (removal["crawl"], removal["warc_path"], removal["warc_offset"], removal["fetched_at"])
    assert place == ("test", "x.warc", 0, "2024-05-18T01:58:10Z")


def test_kinds_of_record(tmp_path):
    texts = [making.record(f"Line  one\n\n{n}".encode(), kind="conversion", number=n) for n in range(2)]
    others = [making.record(b"x", kind=kind) for kind in ("warcinfo", "request", "metadata", "revisit")]
    plain = making.record(making.response(b"a\n  b", content_type="text/plain"), number=5)
    (documents, _, _), counts = extract(making.write(tmp_path / "x.warc.wet", *texts, *others, plain))
    assert [row["text"] for row in documents] == ["Line one\n0", "Line one\n1", "a\nb"]
    assert counts["num_skipped"] == len(others)


def resource(block, content_type, uri="https://example.org/9", number=0):
    return making.record(
        block, kind="resource", uri=uri, number=number, extra=[f"Content-Type: {content_type}"] if content_type else []
    )


def test_resources_that_are_pages(tmp_path):
    page, text = making.page(1), extract_text(making.page(1))
    records = [
        resource(page, "text/html"),
        resource(page.replace(b"<h1>Page", "<h1>Pàge".encode("cp1252")), "text/html; charset=windows-1252"),
        resource(page, "", "http://example.org/x"),
        resource(b"Plain  words", "text/plain", "urn:text:https://example.org/x"),
        resource(making.response(page), "application/http; msgtype=response"),
        resource(page, "text/html").replace(b"WARC-Type: resource", b"WARC-Type: response"),
    ]
    records = [data.replace(b"000001>", b"%06x>" % (number + 1)) for number, data in enumerate(records)]
    (documents, removed, _), counts = extract(making.write(tmp_path / "x.warc", *records))
    assert removed == []
    assert [row["text"] for row in documents] == [text, text.replace("Page", "Pàge"), text, "Plain words", text, text]
    assert documents[3]["url"] == "https://example.org/x"
    assert "num_skipped" not in counts


@pytest.mark.parametrize(
    ("block", "content_type", "uri"),
    [
        (b"\x89PNG", "image/png", "https://example.org/x.png"),
        (b"body { }", "text/css", "https://example.org/x.css"),
        (b"wget", "text/plain", "metadata://gnu.org/software/wget/warc/wget_arguments.txt"),
        (b"1.2.3.4", "text/dns", "dns:example.org"),
        (b"{}", "application/json", "urn:pageinfo:https://example.org/"),
        (b"<p>x", "text/html", "file:///etc/motd.html"),
    ],
)
def test_resources_that_are_no_pages_are_skipped(tmp_path, block, content_type, uri):
    file = making.write(tmp_path / "x.warc", resource(block, content_type, uri), *making.pages(1))
    (documents, removed, _), counts = extract(file)
    assert (len(documents), removed, counts["num_skipped"]) == (1, [], 1)


@pytest.mark.parametrize(
    ("text", "charset", "declared"),
    [
        ("Как дела?", "cp1251", "text/plain; charset=windows-1251"),
        ("日本語①", "cp932", "text/plain;charset=Shift_JIS"),
        ("Où est-il ?", "utf-8", "text/plain"),
        ("Où sont les élèves ? À la fenêtre, là-bas.", "cp1252", "text/plain"),
    ],
)
def test_converted_texts_are_in_their_charset(tmp_path, text, charset, declared):
    record = making.record(text.encode(charset), kind="conversion", extra=[f"Content-Type: {declared}"])
    (documents, _, _), _ = extract(making.write(tmp_path / "x.wet", record))
    assert [row["text"] for row in documents] == [text]


def test_records_with_the_digest_of_their_body_are_counted(tmp_path):
    record = making.record(making.response(making.page(0)), digest=making.block_digest(making.page(0)))
    (documents, _, losses), counts = extract(making.write(tmp_path / "x.warc", record, *making.pages(2)[1:]))
    assert (len(documents), losses, counts["num_payload_digests"]) == (2, [], 1)


def test_output_does_not_depend_on_workers_or_batches(tmp_path):
    records = making.pages(60)
    records[10] = making.record(making.response(b"", status="500 Oops"), number=10)
    records[20] = b"garbage" * 50
    records[30] = making.record(b"text", kind="conversion", number=30)
    records[40] = making.record(making.response(HOSTILE), number=40)
    files = [making.write(tmp_path / "a.warc", *records[:35]), making.write(tmp_path / "b.warc", *records[35:])]
    first = extract(*files, timeout_s=0.5)
    assert extract(*files, timeout_s=0.5, num_workers=3, batch_documents=7) == first
    documents, removed, _ = first[0]
    assert [int(row["url"].rsplit("/", 1)[1]) for row in documents] == [n for n in range(60) if n not in (10, 20, 40)]
    assert [row["rule"] for row in removed] == ["http_status", "timeout"]


def test_batches_are_bounded(tmp_path):
    files = [making.write(tmp_path / "x.warc", *making.pages(25))]
    batches = list(extract_warc_files(files, "test", ExtractConfig(batch_documents=10)))
    assert [batch.documents.num_rows for batch in batches] == [10, 10, 5]
    assert all(batch.documents.schema == DOCUMENT_SCHEMA for batch in batches)


def test_ids(tmp_path):
    upper = "<urn:uuid:CEF11DC9-8D86-4F4B-9B8C-2235515B4537>"
    assert document_id(upper) == "cef11dc9-8d86-4f4b-9b8c-2235515b4537"
    strange = document_id("<../../etc/passwd>")
    assert is_doc_id(strange)
    assert strange == document_id("<../../etc/passwd>") != document_id("<other>")
    block = making.response(making.page(1))
    records = [making.record(block, number=n, record_id=upper) for n in range(3)]
    first = extract(making.write(tmp_path / "x.warc", *records))
    ids = [row["doc_id"] for row in first[0][0]]
    assert ids[0] == document_id(upper)
    assert len(set(ids)) == 3
    assert all(uuid.UUID(doc_id).version == 5 for doc_id in ids[1:])
    assert first[1]["num_repeated_ids"] == 2
    assert extract(making.write(tmp_path / "x.warc", *records)) == first


def test_an_answer_survives_its_way():
    page = PageText("é\n{}\n", "http", "encoding", 0.5, 0.25)
    assert unpack(pack(page)) == page


def test_a_bad_file_ends_the_run_with_its_name(tmp_path):
    files = [making.write(tmp_path / "a.warc", *making.pages(1)), making.write(tmp_path / "b.warc", b"<html>")]
    with pytest.raises(InputError, match=r"b\.warc"):
        extract(*files)


@pytest.mark.parametrize("values", [{"max_replaced_share": 2.0}, {"batch_documents": 0}, {"timeout_s": -1.0}])
def test_configuration_is_checked(values):
    with pytest.raises(ConfigurationError, match=next(iter(values))):
        ExtractConfig(**values)


def test_a_wet_file_gives_its_text_as_it_is(tmp_path):
    def conversion(text, number, content_type="text/plain", **options):
        return making.record(text, kind="conversion", number=number, extra=[f"Content-Type: {content_type}"], **options)

    stored = making.members(
        [
            making.record(b"Software-Info: test\r\n", kind="warcinfo", number=9),
            conversion("Erste Zeile\n\nzweite, größere Zeile\n".encode(), 1),
            conversion(b"%PDF-1.4", 2, "application/pdf"),
            conversion(b"wrong", 3, digest=making.block_digest(b"other")),
            conversion(b" \n ", 4),
        ]
    )
    (documents, removed, losses), counts = extract(making.write(tmp_path / "x.warc.wet.gz", *stored))
    assert [row["text"].split("\n")[0] for row in documents] == ["Erste Zeile"]
    assert documents[0]["text"].endswith("zweite, größere Zeile")
    assert [(row["url"][-1], row["rule"]) for row in removed] == [("2", "content_type"), ("4", "empty")]
    assert [row["reason"] for row in losses] == ["digest"]
    assert counts["num_skipped"] == 1


def test_a_page_without_main_text_shows_its_words(tmp_path):
    menu = '<nav><a href="/a">Sheep</a> <a href="/b">Gates &amp; walls</a></nav><script>no()</script>'
    record = making.record(making.response(menu.encode()))
    (_, (removal,), _), _ = extract(making.write(tmp_path / "x.warc", record))
    assert (removal["rule"], removal["words"]) == ("empty", "Sheep Gates & walls")
