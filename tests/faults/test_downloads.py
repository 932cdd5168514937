"""Faults of downloads: climbing paths, foreign redirects, and failing servers."""

import gzip
import http.server
import random
import time

import pytest

from lm.errors import InputError, UnreachableError
from pipelines.common_crawl import download_path, list_paths
from pipelines.fetch.download import Downloader, DownloadPolicy
from tests.pipelines.crawl_server import CrawlServer, Fault

IMPATIENT = DownloadPolicy(max_attempts=5, backoff_s=0.01, max_backoff_s=0.5, min_interval_s=0.0, read_timeout_s=2.0)


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
        with pytest.raises(UnreachableError, match=r"a\.warc\.gz: gave up after 5 attempts: HTTP status 503"):
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
        assert 1.0 <= time.monotonic() - start < 30


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
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}/a: gave up after 5 attempts"):
        Downloader(IMPATIENT).download(f"http://127.0.0.1:{port}/a", tmp_path / "a")
