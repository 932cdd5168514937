"""Captures of a URL, from a server that answers as Common Crawl's index does."""

import json

import pytest

from lm.errors import InputError
from pipelines.common_crawl import best_capture, find_captures
from tests.pipelines.common_crawl.captured import CRAWL, URLS, capture


def test_captures_of_a_url(server, downloader):
    (found,) = find_captures(URLS[3], CRAWL, index_url=server.url, downloader=downloader)
    row = server.captures[CRAWL][3]
    assert (found.url, found.status, found.offset, found.length) == (
        URLS[3],
        200,
        int(row["offset"]),
        int(row["length"]),
    )
    assert find_captures("https://example.org/none", CRAWL, index_url=server.url, downloader=downloader) == []


def test_a_pattern_is_asked_page_by_page(server, downloader):
    found = find_captures("https://example.org/*", CRAWL, index_url=server.url, downloader=downloader)
    assert [each.url for each in found] == URLS
    assert len(server.requests) == 1 + 3
    assert find_captures("*.nowhere.org", CRAWL, index_url=server.url, downloader=downloader) == []


@pytest.mark.parametrize("url", ["", "x y", "ftp://h/x", "https://", "https://me:pw@example.org/", "https://h/\n"])
def test_what_no_crawl_could_hold_is_refused(server, downloader, url):
    with pytest.raises(InputError, match="not the address of a page") as refusal:
        find_captures(url, CRAWL, index_url=server.url, downloader=downloader)
    assert "pw" not in str(refusal.value)
    assert server.requests == []


@pytest.mark.parametrize(
    "row", [{"url": "u"}, [], 3, capture("u", -1, 5), capture("u", 1, 0), capture("u", 1, 5, timestamp="2024")]
)
def test_an_answer_that_is_no_capture(server, downloader, row, monkeypatch):
    server.files[f"{CRAWL}-index"] = json.dumps(row).encode()
    server.captures.clear()
    with pytest.raises(InputError, match="expected a capture as JSON"):
        find_captures(URLS[0], CRAWL, index_url=server.url, downloader=downloader)


def test_the_best_capture_is_a_page_of_exactly_this_url_and_the_newest(server, downloader):
    server.captures[CRAWL] = [
        capture("https://example.org/0", 1, 9, timestamp="20240501000000"),
        capture("https://example.org/0", 2, 9, timestamp="20240502000000"),
        capture("https://www.example.org/0", 3, 9, timestamp="20240503000000"),
        capture("https://example.org/0", 4, 9, timestamp="20240504000000", status="301"),
    ]
    found = find_captures(URLS[0], CRAWL, index_url=server.url, downloader=downloader)
    assert len(found) == 4
    assert best_capture(found, URLS[0]).offset == 2
    assert best_capture(found[3:], URLS[0]) is None
