"""Real captures, as Common Crawl, wget and others stored them. The counts were checked by hand against the files."""

from pathlib import Path

import pytest

from lm.errors import InputError
from lm.storage import sha256_of
from pipelines.extract.records import extract_warc_files
from pipelines.sources.warc_file import WarcFile
from pipelines.sources.warc_groups import WarcSource, list_groups
from pipelines.warc.records import Loss, WarcRecord, read_records
from tests.pipelines.crawl_server import CrawlServer

CAPTURES = ["commoncrawl/whirlwind.warc.gz", "commoncrawl/whirlwind.warc"]
TEXTS = ["commoncrawl/whirlwind.warc.wet.gz", "commoncrawl/whirlwind.warc.wet"]
ARCS = ["warcio/bad.arc", "warcio/example.arc", "warcio/example.arc.gz", "warcio/example-space-in-url.arc"]
LISTING = "commoncrawl/CC-MAIN-2024-22.warc.paths.gz"

RECORDS = [
    ("commoncrawl/whirlwind.warc.wat", 0, 0, 0, 2),  # facts about the capture, no page
    ("commoncrawl/whirlwind.warc.wat.gz", 0, 0, 0, 2),
    ("wget/sample-0000.warc.gz", 22, 0, 0, 26),
    ("wget/sample-0001.warc.gz", 15, 0, 0, 19),
    ("resiliparse/warcfile.warc", 16, 0, 0, 34),
    ("resiliparse/warcfile.warc.gz", 16, 0, 0, 34),
    ("resiliparse/warcfile.warc.lz4", 16, 0, 0, 34),
    ("resiliparse/clueweb-quirk.warc.gz", 29, 0, 0, 1),
    ("resiliparse/block-sized-records.warc", 0, 0, 0, 3),
    ("resiliparse/block-sized-records.warc.gz", 0, 0, 0, 3),
    ("resiliparse/block-sized-records.warc.lz4", 0, 0, 0, 3),
    ("resiliparse/clipped.warc.gz", 0, 0, 1, 0),  # the middle of one record is all there is
    ("warcio/example.warc", 1, 0, 0, 5),
    ("warcio/example.warc.gz", 1, 0, 0, 5),
    ("warcio/example-bad.warc.gz.bad", 1, 1, 0, 4),  # a plain text file in spite of its name; one redirect
    ("warcio/example-bad-non-chunked.warc.gz", 1, 0, 1, 4),  # the revisit's digest is wrong
    ("warcio/example-trunc.warc", 0, 0, 1, 3),  # the response has fewer bytes than it says
    ("warcio/example-wrong-chunks.warc.gz", 0, 0, 2, 1),  # one record cut into two members
    ("warcio/example-digest.warc", 0, 0, 0, 4),
    ("warcio/example-iana.org-chunked.warc", 1, 0, 0, 2),
    ("warcio/example-resource.warc.gz", 1, 0, 0, 2),  # a page fetched by FTP
    ("warcio/example-space-in-target-uri.warc.gz", 0, 0, 0, 2),
    ("warcio/example-wget-bad-target-uri.warc.gz", 1, 0, 0, 5),
    ("warcio/post-test.warc.gz", 0, 3, 0, 3),  # three answers in JSON
]
"""Files of records, with the documents that are kept and removed and the records that are lost and skipped."""


def extract(path):
    """Documents, removals, losses and counts of one file, which is small enough for one batch."""
    file = WarcFile(path.name, path, path.stat().st_size, sha256_of(path))
    (batch,) = extract_warc_files([file], "real")
    counts = batch.counts
    assert counts.get("num_records", 0) == batch.documents.num_rows + batch.removed.num_rows + batch.losses.num_rows
    return batch.documents.to_pylist(), batch.removed.to_pylist(), batch.losses.to_pylist(), counts


@pytest.mark.parametrize("name", CAPTURES)
def test_the_common_crawl_capture(shared_data, name):
    (document,), removed, losses, counts = extract(shared_data(f"crawl/{name}"))
    assert removed == losses == []
    assert counts == {"num_records": 1, "num_kept": 1, "num_skipped": 3, "charset_http": 1, "reading_strict": 1}
    assert document["doc_id"] == "2aabeff2-67f5-4608-8466-e87c6296e2b6"
    assert document["url"] == "https://an.wikipedia.org/wiki/Escopete"
    assert document["fetched_at"] == "2024-05-18T01:58:10Z"
    assert document["warc_offset"] == (1023 if name.endswith("gz") else 1375)
    lines = document["text"].split("\n")
    assert lines[0] == "Escopete"
    sentence = (
        "Escopete ye un municipio d'a provincia de Guadalachara, en a comunidat autonoma de Castiella-La Mancha, "
    )
    assert sentence + "Espanya, comarca de La Alcarria y partiu chudicial de Guadalachara." in lines
    assert any(line.startswith("A suya población ye de 84 habitants (2007)") for line in lines)
    for furniture in ("Portalada", "Donativos", "Ferramientas personals", "Mirar-lo", "Politica de privacidat"):
        assert furniture not in document["text"]


@pytest.mark.parametrize("name", TEXTS)
def test_the_common_crawl_text(shared_data, name):
    (document,), _, _, counts = extract(shared_data(f"crawl/{name}"))
    assert counts == {"num_records": 1, "num_kept": 1, "num_skipped": 1, "charset_utf-8": 1}
    assert document["doc_id"] == "ba729a40-ff84-4085-8d48-0a5b2ee0c42d"
    assert document["text"].split("\n")[:3] == [
        "Escopete - Biquipedia, a enciclopedia libre",
        "Ir al contenido",
        "Menú principal",
    ]


@pytest.mark.parametrize(("name", "num_kept", "num_removed", "num_lost", "num_skipped"), RECORDS)
def test_what_becomes_of_each_record(shared_data, name, num_kept, num_removed, num_lost, num_skipped):
    documents, removed, losses, counts = extract(shared_data(f"crawl/{name}"))
    assert (len(documents), len(removed), len(losses)) == (num_kept, num_removed, num_lost)
    assert counts.get("num_skipped", 0) == num_skipped
    for document in documents:
        assert document["text"].encode("utf-8").decode("utf-8") == document["text"]
        assert document["url"].startswith("http")


def test_one_file_in_three_forms_gives_one_text(shared_data):
    texts = []
    for suffix in ("", ".gz", ".lz4"):
        documents, *_ = extract(shared_data(f"crawl/resiliparse/warcfile.warc{suffix}"))
        texts.append([(document["doc_id"], document["url"], document["text"]) for document in documents])
    assert texts[0] == texts[1] == texts[2]


def test_old_japanese_pages(shared_data):
    documents, *_ = extract(shared_data("crawl/resiliparse/clueweb-quirk.warc.gz"))
    assert "ブラウニー ブリーフケース" in documents[0]["text"]
    assert not any("\ufffd" in document["text"] for document in documents)


def test_what_is_removed_and_why(shared_data):
    _, removed, _, _ = extract(shared_data("crawl/warcio/example-bad.warc.gz.bad"))
    assert [(row["rule"], row["value"], row["url"]) for row in removed] == [
        ("http_status", 302.0, "http://www.iana.org/domains/example")
    ]
    _, removed, _, _ = extract(shared_data("crawl/warcio/post-test.warc.gz"))
    assert {row["rule"] for row in removed} == {"content_type"}
    _, _, losses, _ = extract(shared_data("crawl/warcio/example-trunc.warc"))
    assert [(row["reason"], row["offset"]) for row in losses] == [("bad_length", 1197)]
    _, _, losses, _ = extract(shared_data("crawl/resiliparse/clipped.warc.gz"))
    assert [(row["reason"], row["offset"]) for row in losses] == [("truncated", 0)]


def test_every_real_file_has_a_test(shared_data):
    """A file that is added stands in one of the tables that the tests of this module take."""
    root = shared_data("crawl")
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert files == {*CAPTURES, *TEXTS, *ARCS, LISTING, *(row[0] for row in RECORDS)}


def test_a_list_of_other_files_than_its_name_says(shared_data):
    """The published sample is named for WARC files and lists the Parquet files of another index."""
    listing = shared_data(f"crawl/{LISTING}").read_bytes()
    with CrawlServer({"crawl-data/CC-MAIN-2024-22/warc.paths.gz": listing}) as server:
        source = WarcSource(kind="common_crawl", crawl="CC-MAIN-2024-22", base_url=server.url)
        with pytest.raises(InputError, match=r"lists 'part-00000-.*parquet', expected files named \.warc\.gz"):
            list_groups(source)


@pytest.mark.parametrize("name", ARCS)
def test_arc_files_are_refused(shared_data, name):
    with pytest.raises(InputError, match=rf"{Path(name).name}: an ARC file"):
        extract(shared_data(f"crawl/{name}"))


@pytest.mark.parametrize(
    "name", ["resiliparse/warcfile.warc.gz", "wget/sample-0000.warc.gz", "wget/sample-0001.warc.gz"]
)
def test_the_same_records_as_fastwarc(shared_data, name):
    fastwarc = pytest.importorskip("fastwarc.warc")
    path = shared_data(f"crawl/{name}")
    with path.open("rb") as stream:
        theirs = [
            (record.record_id.strip("<>").removeprefix("urn:uuid:"), record.reader.read())
            for record in fastwarc.ArchiveIterator(stream, parse_http=False)
        ]
    ours = [
        (item.record_id.strip("<>").removeprefix("urn:uuid:"), item.block)
        for item in read_records(path)
        if isinstance(item, WarcRecord)
    ]
    assert ours == theirs
    assert not any(isinstance(item, Loss) for item in read_records(path))
