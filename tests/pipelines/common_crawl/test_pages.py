"""Captures by URL and pages into a WARC file, against a server that answers as Common Crawl's index and files do."""

import base64
import gzip
import hashlib
import json

import pytest

from lm.errors import ConflictError, InputError
from lm.locations import locate
from pipelines.common_crawl import MissingPage, best_capture, fetch_pages, find_captures
from pipelines.common_crawl.__main__ import main
from pipelines.fetch.download import Downloader, DownloadPolicy
from pipelines.warc.records import read_records
from tests.pipelines import warc_making as making
from tests.pipelines.crawl_server import CrawlServer, Fault

CRAWL = "CC-MAIN-2024-22"
FILE = f"crawl-data/{CRAWL}/segments/1715971057216.39/warc/{CRAWL}-00000.warc.gz"
QUICK = DownloadPolicy(max_attempts=3, backoff_s=0.01, min_interval_s=0.0)
URLS = [f"https://example.org/{number}" for number in range(5)]


def payload_digest(body):
    return base64.b32encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()


def crawl_files(num_pages=5):
    """A WARC file of pages and the index's rows for it."""
    members, rows, offset = (
        [gzip.compress(making.record(b"software: test\r\n", kind="warcinfo", number=99), mtime=0)],
        [],
        0,
    )
    for number in range(num_pages):
        body = making.page(number)
        digest = payload_digest(body)
        extra = [f"WARC-Payload-Digest: sha1:{digest}"]
        record = making.record(making.response(body), number=number, extra=extra)
        offset += len(members[-1])
        members.append(gzip.compress(record, mtime=0))
        rows.append(capture(f"https://example.org/{number}", offset, len(members[-1]), digest))
    return {FILE: b"".join(members)}, rows


def capture(url, offset, length, digest="", status="200", timestamp="20240518015810", filename=FILE):
    return {
        "urlkey": "org,example)/",
        "timestamp": timestamp,
        "url": url,
        "mime": "text/html",
        "mime-detected": "text/html",
        "status": status,
        "digest": digest,
        "length": str(length),
        "offset": str(offset),
        "filename": filename,
        "languages": "eng",
        "encoding": "UTF-8",
    }


@pytest.fixture
def server():
    files, rows = crawl_files()
    files["collinfo.json"] = json.dumps([{"id": CRAWL, "name": "May 2024 Index"}]).encode()
    with CrawlServer(files) as running:
        running.captures[CRAWL] = rows
        yield running


@pytest.fixture
def downloader():
    with Downloader(QUICK) as client:
        yield client


def fetch(server, downloader, target, urls=URLS, **options):
    return fetch_pages(urls, CRAWL, target, index_url=server.url, data_url=server.url, downloader=downloader, **options)


def targets(path):
    return [record.target_uri for record in read_records(path)]


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
    with pytest.raises(InputError, match="no page's address") as refusal:
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


def test_pages_are_fetched_in_the_order_of_the_urls(server, downloader, tmp_path):
    target = tmp_path / "pages.warc.gz"
    events = []
    wanted = [URLS[4], URLS[1], "https://example.org/none", URLS[1], "not a url"]
    report = fetch(server, downloader, target, wanted, report=events.append)
    assert targets(target) == [URLS[4], URLS[1]]
    assert (report.num_urls, report.num_found, report.num_records) == (4, 2, 2)
    assert [(page.url, page.reason) for page in report.missing] == [
        ("https://example.org/none", "not_captured"),
        ("not a url", "no_address"),
    ]
    assert events[-1] == {"url": "not a url", "outcome": "no_address", "finished": 4, "total": 4}
    assert report.size_bytes == target.stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pages.warc.gz", "pages.warc.gz.report.json"]


def test_only_the_wanted_bytes_are_asked_for(server, downloader, tmp_path):
    fetch(server, downloader, tmp_path / "pages.warc.gz", URLS[2:3])
    row = server.captures[CRAWL][2]
    last = int(row["offset"]) + int(row["length"]) - 1
    assert server.requests[-1].headers["Range"] == f"bytes={row['offset']}-{last}"


def test_the_same_call_again_asks_nobody(server, downloader, tmp_path):
    first = fetch(server, downloader, tmp_path / "pages.warc.gz")
    server.requests.clear()
    assert fetch(server, downloader, tmp_path / "pages.warc.gz") == first
    assert server.requests == []
    (tmp_path / "pages.warc.gz").write_bytes(b"x" * first.size_bytes)
    assert fetch(server, downloader, tmp_path / "pages.warc.gz") == first
    assert targets(tmp_path / "pages.warc.gz") == URLS


def test_variants_of_one_url_share_a_record(server, downloader, tmp_path):
    report = fetch(server, downloader, tmp_path / "x.warc.gz", [URLS[0], "http://www.example.org/0"])
    assert (report.num_found, report.num_records) == (2, 1)
    assert targets(tmp_path / "x.warc.gz") == [URLS[0]]


@pytest.mark.fault(37)
def test_an_interrupted_fetch_goes_on_where_it_stopped(server, downloader, tmp_path):
    target = tmp_path / "pages.warc.gz"
    server.faults = [*[Fault()] * 5, *[Fault(status=503)] * 3]
    with pytest.raises(InputError, match="gave up after 3 attempts: HTTP status 503"):
        fetch(server, downloader, target)
    assert not target.exists()
    part = target.with_name(".pages.warc.gz.part")
    with part.open("ab") as stream:
        stream.write(b"half a record")
    with part.with_name(f"{part.name}.journal").open("a") as lines:
        lines.write('{"url": "half a li')
    server.requests.clear()
    report = fetch(server, downloader, target)
    assert len(server.requests) == 2 * 3
    assert targets(target) == URLS
    assert report.num_found == 5
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["pages.warc.gz", "pages.warc.gz.report.json"]


@pytest.mark.fault(37)
def test_other_urls_start_over(server, downloader, tmp_path):
    server.faults = [*[Fault()] * 4, *[Fault(status=503)] * 3]
    with pytest.raises(InputError):
        fetch(server, downloader, tmp_path / "pages.warc.gz")
    fetch(server, downloader, tmp_path / "pages.warc.gz", URLS[3:])
    assert targets(tmp_path / "pages.warc.gz") == URLS[3:]


@pytest.mark.fault(37)
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([Fault(status=429, headers={"Retry-After": "0"}), Fault(status=503)], id="index refuses"),
        pytest.param([Fault(), Fault(status=403), Fault(status=503)], id="files refuse"),
        pytest.param([Fault(cut_at=20), Fault(), Fault(cut_at=100)], id="half answers"),
        pytest.param([Fault(), Fault(cut_at=50, reset=True)], id="reset"),
    ],
)
def test_a_fetch_survives(server, downloader, tmp_path, faults):
    server.faults = faults
    assert fetch(server, downloader, tmp_path / "x.warc.gz").num_found == 5
    assert targets(tmp_path / "x.warc.gz") == URLS


@pytest.mark.fault(37)
def test_a_server_without_ranges_is_not_downloaded_whole(server, downloader, tmp_path):
    server.faults = [Fault(), Fault(ignore_range=True)]
    with pytest.raises(InputError, match="without the range"):
        fetch(server, downloader, tmp_path / "x.warc.gz")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda row, rows: row.update(digest="A" * 32), "payload digest"),
        (lambda row, rows: row.update(offset=str(int(row["offset"]) + 1)), "no WARC record"),
        (lambda row, rows: row.update(length=str(int(row["length"]) - 9)), "truncated"),
        (lambda row, rows: row.update(offset=rows[3]["offset"], length=rows[3]["length"]), "expected the response of"),
        (lambda row, rows: row.update(length=str(int(row["length"]) + int(rows[3]["length"]))), "2 records"),
        (lambda row, rows: row.update(offset="99999999"), "416|range"),
        (lambda row, rows: row.update(filename="crawl-data/gone.warc.gz"), "404"),
        (lambda row, rows: row.update(length=str(2**40)), "the limit is"),
    ],
)
def test_a_record_that_is_not_what_the_index_says_is_missing(server, downloader, tmp_path, change, detail):
    change(server.captures[CRAWL][2], server.captures[CRAWL])
    report = fetch(server, downloader, tmp_path / "x.warc.gz")
    assert targets(tmp_path / "x.warc.gz") == [*URLS[:2], *URLS[3:]]
    (missing,) = report.missing
    assert missing.reason == "damaged"
    assert any(word in missing.detail for word in detail.split("|"))


def test_a_url_that_only_redirects_is_no_page(server, downloader, tmp_path):
    server.captures[CRAWL][1]["status"] = "301"
    report = fetch(server, downloader, tmp_path / "x.warc.gz", URLS[:2])
    assert report.missing == [MissingPage(URLS[1], "no_page", "301")]
    assert report.missing_by_reason == {"no_page": 1}


@pytest.mark.fault(35)
@pytest.mark.parametrize("filename", ["../../etc/passwd", "/etc/passwd", "a//b"])
def test_an_index_cannot_climb(server, downloader, tmp_path, filename):
    server.captures[CRAWL][0]["filename"] = filename
    with pytest.raises(InputError, match="refused as a path"):
        fetch(server, downloader, tmp_path / "x.warc.gz")


@pytest.mark.fault(35)
def test_an_index_that_redirects_elsewhere_is_refused(server, downloader, tmp_path):
    server.faults = [Fault(status=302, headers={"Location": "http://169.254.169.254/latest"})]
    with pytest.raises(InputError, match="refused its redirect"):
        fetch(server, downloader, tmp_path / "x.warc.gz")


def test_bad_requests(server, downloader, tmp_path):
    with pytest.raises(InputError, match="no URLs"):
        fetch(server, downloader, tmp_path / "x.warc.gz", [" "])
    with pytest.raises(InputError, match=r"expected the name of a WARC file"):
        fetch(server, downloader, tmp_path / "x.txt")
    with pytest.raises(InputError, match="404"):
        fetch_pages(
            URLS,
            "CC-MAIN-1999-01",
            tmp_path / "x.warc.gz",
            index_url=server.url,
            data_url=server.url,
            downloader=downloader,
        )


def test_two_fetches_to_one_target(server, downloader, tmp_path):
    def second(event):
        with pytest.raises(ConflictError, match="another process"):
            fetch(server, Downloader(QUICK), tmp_path / "x.warc.gz")

    fetch(server, downloader, tmp_path / "x.warc.gz", report=second)


def test_pages_go_to_a_store_and_files_come_from_one(server, downloader, store_url):
    for name, content in server.files.items():
        place = locate(f"{store_url}/mirror/{name}")
        place.fs.pipe_file(place.path, content)
    target = locate(f"{store_url}/out/pages.warc.gz")
    options = {"index_url": server.url, "data_url": f"{store_url}/mirror", "downloader": downloader}
    report = fetch_pages(URLS[:3], CRAWL, target, **options)
    content = target.fs.cat_file(target.path)
    assert hashlib.sha256(content).hexdigest() == report.sha256
    server.requests.clear()
    assert fetch_pages(URLS[:3], CRAWL, str(target), **options) == report
    assert server.requests == []


def command(server, *arguments):
    quick = ["--index-url", server.url, "--data-url", server.url, "--min-interval-s", "0", "--max-attempts", "2"]
    return main([*quick, *map(str, arguments)])


def test_the_command_line(server, tmp_path, capsys):
    server.files[f"crawl-data/{CRAWL}/warc.paths.gz"] = gzip.compress(f"{FILE}\n".encode())
    assert command(server, "crawls") == 0
    assert capsys.readouterr().out == f"{CRAWL}  May 2024 Index\n"
    assert command(server, "files") == 0
    assert capsys.readouterr().out == f"{CRAWL}/g0000  {FILE}\n"
    assert command(server, "captures", "https://example.org/*", "--limit", 2) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("20240518015810  200  text/html  https://example.org/0  crawl-data/")
    (tmp_path / "urls.txt").write_text("# two pages\n" + "\n".join(URLS[:2]) + "\n\n")
    assert command(server, "fetch", tmp_path / "x.warc.gz", URLS[4], "--urls", tmp_path / "urls.txt") == 0
    assert "3 of 3 pages" in capsys.readouterr().out
    assert targets(tmp_path / "x.warc.gz") == [URLS[4], *URLS[:2]]


def test_missing_pages_end_the_command_with_their_counts(server, tmp_path, capsys):
    from lm.errors import ConfigurationError, PartialError

    with pytest.raises(PartialError, match="1 of 2 pages are missing: not_captured 1"):
        command(server, "fetch", tmp_path / "x.warc.gz", URLS[0], "https://example.org/none")
    assert "missing  not_captured  https://example.org/none" in capsys.readouterr().err
    with pytest.raises(PartialError, match="not captured"):
        command(server, "captures", "https://example.org/none")
    with pytest.raises(ConfigurationError, match="no URL"):
        command(server, "fetch", tmp_path / "x.warc.gz")
