"""The command line of Common Crawl."""

import gzip

import pytest

from lm.errors import ConfigurationError, PartialError
from pipelines.common_crawl.__main__ import main
from pipelines.warc.records import read_records
from tests.pipelines.common_crawl.captured import CRAWL, FILE, URLS


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
    assert [record.target_uri for record in read_records(tmp_path / "x.warc.gz")] == [URLS[4], *URLS[:2]]


def test_missing_pages_end_the_command_with_their_counts(server, tmp_path, capsys):
    with pytest.raises(PartialError, match="1 of 2 pages are missing: not_captured 1"):
        command(server, "fetch", tmp_path / "x.warc.gz", URLS[0], "https://example.org/none")
    assert "missing  not_captured  https://example.org/none" in capsys.readouterr().err
    with pytest.raises(PartialError, match="not captured"):
        command(server, "captures", "https://example.org/none")
    with pytest.raises(ConfigurationError, match="no URL"):
        command(server, "fetch", tmp_path / "x.warc.gz")
