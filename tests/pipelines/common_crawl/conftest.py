"""A server that answers as Common Crawl's index and files do."""

import json

import pytest

from pipelines.fetch.download import Downloader
from tests.pipelines.common_crawl.captured import CRAWL, QUICK, crawl_files
from tests.pipelines.crawl_server import CrawlServer


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
