"""Listings and downloads, against a server on this machine laid out like Common Crawl's."""

import gzip
import json
import multiprocessing
import time

import pytest

from lm.errors import ConfigurationError, ConflictError, InputError, NoSpaceError
from pipelines.common_crawl import Crawl, download_path, group_paths, list_crawls, list_paths, newest_crawl
from pipelines.fetch import download as download_module
from pipelines.fetch import partial_file
from pipelines.fetch.download import Downloader, DownloadPolicy
from pipelines.fetch.urls import check_url, path_below
from tests.pipelines import warc_making as making
from tests.pipelines.crawl_server import CrawlServer, Fault

CRAWL = "CC-MAIN-2024-22"
PATHS = [f"crawl-data/{CRAWL}/segments/1715971057216.39/warc/{CRAWL}-{n:05d}.warc.gz" for n in range(7)]
QUICK = DownloadPolicy(max_attempts=3, backoff_s=0.01, min_interval_s=0.0)


def packed(lines):
    return gzip.compress("".join(f"{line}\n" for line in lines).encode())


@pytest.fixture
def server():
    crawls = [{"id": CRAWL, "name": "May 2024 Index"}, {"id": "CC-MAIN-2024-18", "name": "April 2024 Index"}]
    files = {
        "collinfo.json": json.dumps(crawls).encode(),
        f"crawl-data/{CRAWL}/warc.paths.gz": packed(PATHS),
        f"crawl-data/{CRAWL}/wet.paths.gz": packed(path.replace("warc", "wet") for path in PATHS),
        **{path: b"".join(making.members(making.pages(n + 1))) for n, path in enumerate(PATHS)},
    }
    with CrawlServer(files) as running:
        yield running


@pytest.fixture
def downloader():
    with Downloader(QUICK) as client:
        yield client


def test_crawls(server, downloader):
    assert list_crawls(server.url, downloader)[1] == Crawl("CC-MAIN-2024-18", "April 2024 Index")
    assert newest_crawl(server.url, downloader).name == CRAWL


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'[{"id": 3}]', b'[{"id": "../x", "name": ""}]', b"{}"])
def test_a_list_of_crawls_that_is_none(server, downloader, content):
    server.files["collinfo.json"] = content
    with pytest.raises(InputError):
        newest_crawl(server.url, downloader)


def test_paths_and_groups(server, downloader):
    assert list_paths(CRAWL, "warc", server.url, downloader=downloader) == PATHS
    assert "wet/" in list_paths(CRAWL, "wet", server.url, downloader=downloader)[0]
    assert group_paths(PATHS, 3) == [PATHS[:3], PATHS[3:6], PATHS[6:]]
    with pytest.raises(ConfigurationError):
        group_paths(PATHS, 0)


def test_a_listing_is_fetched_once(server, downloader, tmp_path):
    for _ in range(3):
        assert list_paths(CRAWL, "warc", server.url, folder=tmp_path, downloader=downloader) == PATHS
    assert len(server.requests) == 1


@pytest.mark.parametrize("content", [b"<html>", packed(PATHS)[:-20]])
def test_a_damaged_listing(server, downloader, content):
    server.files[f"crawl-data/{CRAWL}/warc.paths.gz"] = content
    with pytest.raises(InputError, match=r"warc\.paths\.gz.*expected a gzip file"):
        list_paths(CRAWL, "warc", server.url, downloader=downloader)


def test_a_crawl_that_is_not_there(server, downloader):
    with pytest.raises(InputError, match="404"):
        list_paths("CC-MAIN-1999-01", "warc", server.url, downloader=downloader)
    with pytest.raises(InputError, match="no valid name"):
        list_paths("../x", "warc", server.url, downloader=downloader)


def test_a_file_is_downloaded_once(server, downloader, tmp_path):
    for _ in range(2):
        path = download_path(PATHS[2], tmp_path, server.url, downloader)
        assert path.relative_to(tmp_path).as_posix().endswith(f"/{PATHS[2]}")
        assert path.read_bytes() == server.files[PATHS[2]]
    assert len(server.requests) == 1
    assert server.requests[0].headers["Accept-Encoding"] == "identity"
    assert server.requests[0].headers["User-Agent"].startswith("loam/")


def test_stored_bytes_survive_a_content_encoding_header(server, downloader, tmp_path):
    server.faults = [Fault(headers={"Content-Encoding": "gzip"})]
    assert download_path(PATHS[0], tmp_path, server.url, downloader).read_bytes() == server.files[PATHS[0]]


def test_a_redirect_on_the_same_host_is_followed(server, downloader, tmp_path):
    server.faults = [Fault(status=301, headers={"Location": f"/{PATHS[1]}"})]
    assert downloader.download(server.url + "old", tmp_path / "x").read_bytes() == server.files[PATHS[1]]
    server.faults = [Fault(status=301, headers={"Location": "/loop"})] * 9
    with pytest.raises(InputError, match="more than 5 redirects"):
        downloader.download(server.url + "loop", tmp_path / "y")


def test_requests_keep_their_distance(server):
    with Downloader(DownloadPolicy(min_interval_s=0.2)) as client:
        start = time.monotonic()
        for _ in range(4):
            client.read(server.url + "collinfo.json", 1000)
    assert time.monotonic() - start >= 0.6


def test_limits_of_size(server, tmp_path):
    with Downloader(DownloadPolicy(max_file_bytes=1000, min_interval_s=0.0)) as client:
        with pytest.raises(InputError, match="the limit is 1000"):
            client.download(server.url + PATHS[6], tmp_path / "x")
        with pytest.raises(InputError, match="longer than 10 bytes"):
            client.read(server.url + "collinfo.json", 10)
    assert not (tmp_path / "x").exists()


def test_a_full_disk(server, downloader, tmp_path, monkeypatch):
    def no_room(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download_module.os, "fsync", no_room)
    with pytest.raises(NoSpaceError, match=r"x.*no space left"):
        downloader.download(server.url + PATHS[0], tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def _hold(path, ready, done):
    with partial_file._locked(path):
        ready.set()
        done.wait(20)


def test_two_downloads_of_one_file(server, downloader, tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / ".x.part", ready, done))
    other.start()
    try:
        assert ready.wait(20)
        with pytest.raises(ConflictError, match="another process"):
            downloader.download(server.url + PATHS[0], tmp_path / "x")
    finally:
        done.set()
        other.join()
    assert downloader.download(server.url + PATHS[0], tmp_path / "x").exists()


def test_policy_is_checked():
    with pytest.raises(ConfigurationError, match="max_attempts"):
        DownloadPolicy(max_attempts=0)
    with pytest.raises(ConfigurationError, match="backoff_s"):
        DownloadPolicy(backoff_s=-1.0)


def test_addresses_and_paths(tmp_path):
    for url in ("https://data.commoncrawl.org/x", "http://127.0.0.1:80/x", "http://localhost/x", "http://[::1]:8/x"):
        assert check_url(url) == url
    assert path_below(tmp_path, "a/b-1.warc.gz") == tmp_path / "a" / "b-1.warc.gz"
    (tmp_path / "link").symlink_to("/")
    with pytest.raises(InputError, match="leads out"):
        path_below(tmp_path, "link/etc")


@pytest.mark.fault(37)
def test_a_part_that_is_whole_already_starts_over(server, downloader, tmp_path):
    target = tmp_path / "x"
    server.faults = [Fault(headers={"Content-Length": str(len(server.files[PATHS[0]]) + 1)}), *[Fault(status=503)] * 2]
    with pytest.raises(InputError, match="gave up"):
        downloader.download(server.url + PATHS[0], target)
    assert target.with_name(".x.part").stat().st_size == len(server.files[PATHS[0]])
    downloader.download(server.url + PATHS[0], target)
    assert target.read_bytes() == server.files[PATHS[0]]
