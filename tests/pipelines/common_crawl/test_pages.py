"""Captures by URL and pages into a WARC file, against a server that answers as Common Crawl's index and files do."""

import hashlib

import pytest

from lm.errors import ConflictError, InputError, UnreachableError
from lm.locations import locate
from pipelines.common_crawl import MissingPage, fetch_pages
from pipelines.fetch.download import Downloader
from pipelines.warc.records import read_records
from tests.pipelines.common_crawl.captured import CRAWL, QUICK, URLS
from tests.pipelines.crawl_server import Fault


def fetch(server, downloader, target, urls=URLS, **options):
    return fetch_pages(urls, CRAWL, target, index_url=server.url, data_url=server.url, downloader=downloader, **options)


def targets(path):
    return [record.target_uri for record in read_records(path)]


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
    with pytest.raises(UnreachableError, match="gave up after 3 attempts: HTTP status 503"):
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
    with pytest.raises(UnreachableError):
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
    with pytest.raises(InputError, match="without the requested range"):
        fetch(server, downloader, tmp_path / "x.warc.gz")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda row, rows: row.update(digest="A" * 32), "payload digest"),
        (lambda row, rows: row.update(offset=str(int(row["offset"]) + 1)), "not a WARC record"),
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
