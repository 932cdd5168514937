"""Listings, against a server on this machine laid out like Common Crawl's."""

import gzip
import json

import pytest

from lm.errors import ConfigurationError, InputError
from pipelines.common_crawl import Crawl, download_path, group_paths, list_crawls, list_paths, newest_crawl
from pipelines.fetch.download import Downloader, DownloadPolicy
from tests.pipelines import warc_making as making
from tests.pipelines.crawl_server import CrawlServer

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
    with pytest.raises(InputError, match="not a valid name"):
        list_paths("../x", "warc", server.url, downloader=downloader)


def test_a_file_is_downloaded_once(server, downloader, tmp_path):
    for _ in range(2):
        path = download_path(PATHS[2], tmp_path, server.url, downloader)
        assert path.relative_to(tmp_path).as_posix().endswith(f"/{PATHS[2]}")
        assert path.read_bytes() == server.files[PATHS[2]]
    assert len(server.requests) == 1
    assert server.requests[0].headers["Accept-Encoding"] == "identity"
    assert server.requests[0].headers["User-Agent"].startswith("loam/")
