"""Faults of pages: hostile markup, fatal documents, and wrong charsets."""

import resource

import pytest

from pipelines.extract import records as extract_module
from pipelines.extract.html import extract_text
from pipelines.extract.sandbox import Guard
from tests.pipelines import warc_making as making
from tests.pipelines.extracting import extract

NUM_PAGES = 12
PAGES = making.pages(NUM_PAGES)


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
