"""Downloads: bytes as they are stored, redirects, distances, sizes, a full disk."""

import dataclasses
import re
import socket
import threading
import time

import pytest

from lm.errors import ConfigurationError, InputError, NoSpaceError, UnreachableError
from pipelines.fetch import download as download_module
from pipelines.fetch.download import Downloader, DownloadPolicy
from tests.pipelines.crawl_server import CrawlServer, Fault

QUICK = DownloadPolicy(max_attempts=3, backoff_s=0.01, min_interval_s=0.0)
SMALL, LARGE = "a/small", "a/large"


@pytest.fixture
def server():
    with CrawlServer({SMALL: b"small " * 50, LARGE: bytes(range(256)) * 20}) as running:
        yield running


@pytest.fixture
def downloader():
    with Downloader(QUICK) as client:
        yield client


def test_stored_bytes_survive_a_content_encoding_header(server, downloader, tmp_path):
    server.faults = [Fault(headers={"Content-Encoding": "gzip"})]
    assert downloader.download(server.url + SMALL, tmp_path / "x").read_bytes() == server.files[SMALL]


def test_a_redirect_on_the_same_host_is_followed(server, downloader, tmp_path):
    server.faults = [Fault(status=301, headers={"Location": f"/{LARGE}"})]
    assert downloader.download(server.url + "old", tmp_path / "x").read_bytes() == server.files[LARGE]
    server.faults = [Fault(status=301, headers={"Location": "/loop"})] * 9
    with pytest.raises(InputError, match="more than 5 redirects"):
        downloader.download(server.url + "loop", tmp_path / "y")


def test_requests_keep_their_distance(server):
    with Downloader(DownloadPolicy(min_interval_s=0.2)) as client:
        start = time.monotonic()
        for _ in range(4):
            client.read(server.url + SMALL, 1000)
    assert time.monotonic() - start >= 0.6


def test_limits_of_size(server, tmp_path):
    with Downloader(DownloadPolicy(max_file_bytes=1000, min_interval_s=0.0)) as client:
        with pytest.raises(InputError, match="the limit is 1000"):
            client.download(server.url + LARGE, tmp_path / "x")
        with pytest.raises(InputError, match="longer than 10 bytes"):
            client.read(server.url + SMALL, 10)
    assert not (tmp_path / "x").exists()


def test_a_full_disk(server, downloader, tmp_path, monkeypatch):
    def no_room(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download_module.os, "fsync", no_room)
    with pytest.raises(NoSpaceError, match=r"x.*no space left"):
        downloader.download(server.url + SMALL, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("https://no-such-host.invalid/x", r"[A-Z][a-z -]+"),  # in the words of the system
        ("http://127.0.0.1:{closed}/x", "Connection refused"),
        ("http://127.0.0.1:{silent}/x", "timed out"),
        ("http://127.0.0.1:{hasty}/x", "(Connection reset by peer|Remote end closed connection without response)"),
    ],
)
def test_the_reason_of_a_broken_connection_is_a_few_words(place, reason, tmp_path):
    """Not the three errors that the HTTP client puts about it."""
    policy = dataclasses.replace(QUICK, read_timeout_s=0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as hasty:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            closed = unused.getsockname()[1]
        ports = {"closed": closed, "silent": silent.getsockname()[1], "hasty": hasty.getsockname()[1]}
        threading.Thread(target=hang_up, args=[hasty, QUICK.max_attempts], daemon=True).start()
        with Downloader(policy) as client, pytest.raises(UnreachableError) as failed:
            client.download(place.format(**ports), tmp_path / "x")
    assert re.fullmatch(f"{re.escape(place.format(**ports))}: gave up after 3 attempts: {reason}", str(failed.value))


def hang_up(listener, times):
    """Close `times` connections without an answer."""
    for _ in range(times):
        connection, _address = listener.accept()
        connection.close()


def test_policy_is_checked():
    with pytest.raises(ConfigurationError, match="max_attempts"):
        DownloadPolicy(max_attempts=0)
    with pytest.raises(ConfigurationError, match="backoff_s"):
        DownloadPolicy(backoff_s=-1.0)


@pytest.mark.fault(37)
def test_a_part_that_is_whole_already_starts_over(server, downloader, tmp_path):
    target = tmp_path / "x"
    server.faults = [Fault(headers={"Content-Length": str(len(server.files[SMALL]) + 1)}), *[Fault(status=503)] * 2]
    with pytest.raises(UnreachableError, match="gave up"):
        downloader.download(server.url + SMALL, target)
    assert target.with_name(".x.part").stat().st_size == len(server.files[SMALL])
    downloader.download(server.url + SMALL, target)
    assert target.read_bytes() == server.files[SMALL]
