"""Addresses that may be fetched, redirects that may be followed, and paths that stay below their folder."""

import pytest

from lm.errors import InputError
from pipelines.fetch.urls import check_url, origin, path_below, redirect_target


@pytest.mark.parametrize(
    "url",
    [
        "https://data.commoncrawl.org/x",
        "http://127.0.0.1:80/x",
        "http://localhost/x",
        "http://[::1]:8/x",
        "https://8.8.8.8/",
    ],
)
def test_https_and_this_machine_are_fetched_from(url):
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://data.commoncrawl.org/x", "expected https"),
        ("ftp://data.commoncrawl.org/x", "expected https"),
        ("file:///etc/passwd", "no valid address"),
        ("https://10.0.0.1/x", "a private address"),
        ("https://192.168.1.1/x", "a private address"),
        ("https://169.254.169.254/latest/meta-data", "a private address"),
        ("https://[fd00::1]/x", "a private address"),
        ("http://127.0.0.1.example.org/x", "expected https"),
        ("https://me:secret@example.org/x", "no valid address"),
        ("https://example.org/a b", "no valid address"),
        ("https://example.org/\r\nHost: other", "no valid address"),
        ("https://example.org:port/", "no valid address"),
        ("", "no valid address"),
    ],
)
def test_other_addresses_are_refused_without_their_secrets(url, reason):
    with pytest.raises(InputError, match=reason) as refusal:
        check_url(url)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b", "https://example.org/b"),
        ("c?d", "https://example.org/a/c?d"),
        ("https://example.org:443/e", "https://example.org:443/e"),
        ("https://other.org/b", None),
        ("//other.org/b", None),
        ("http://example.org/b", None),
        ("https://example.org:8443/b", None),
    ],
)
def test_a_redirect_stays_with_its_host(location, target):
    if target is None:
        with pytest.raises(InputError, match="refused its redirect"):
            redirect_target("https://example.org/a/b", location)
    else:
        assert redirect_target("https://example.org/a/b", location) == target


def test_the_default_port_is_part_of_an_origin():
    assert origin("https://example.org/a") == origin("https://example.org:443/b") != origin("http://example.org/a")


@pytest.mark.parametrize(
    "relative", ["../x", "/etc/passwd", "a/../../b", "a//b", "", ".", "a/.hidden", "a\\b", "a/\x00", "x" * 300]
)
def test_a_path_that_climbs_is_refused(tmp_path, relative):
    with pytest.raises(InputError, match="refused as a path"):
        path_below(tmp_path, relative)


def test_a_path_stays_below_its_folder(tmp_path):
    assert path_below(tmp_path, "a/b-1.warc.gz") == tmp_path / "a" / "b-1.warc.gz"
    (tmp_path / "link").symlink_to("/")
    with pytest.raises(InputError, match="leads out"):
        path_below(tmp_path, "link/etc")
