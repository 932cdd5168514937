"""List Common Crawl's crawls, files and captures, and fetch single pages.

    python -m pipelines.common_crawl crawls                                  the crawls, newest first
    python -m pipelines.common_crawl files CC-MAIN-2024-22 --kind wet        a crawl's files, in groups
    python -m pipelines.common_crawl captures 'https://example.org/*'        where a URL was captured
    python -m pipelines.common_crawl fetch pages.warc.gz --urls urls.txt     pages by URL, into a WARC file

Locations may be paths or URLs of a store such as s3://bucket/prefix; credentials come from the store's own environment
variables. Exit codes: 0 all found, 2 a wrong address or an unreachable server, 3 some pages are missing.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from typing import get_args

from lm.command_line import Commands, add_command
from lm.errors import ConfigurationError, PartialError, run_command
from pipelines.common_crawl.captures import find_captures
from pipelines.common_crawl.listing import (
    DATA_URL,
    INDEX_URL,
    FileKind,
    group_paths,
    list_crawls,
    list_paths,
    newest_crawl,
)
from pipelines.common_crawl.pages import fetch_pages, read_urls, url_lines
from pipelines.fetch.download import Downloader, DownloadPolicy
from pipelines.paths import partition_key


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    arguments = _parser().parse_args(argv)
    policy = DownloadPolicy(min_interval_s=arguments.min_interval_s, max_attempts=arguments.max_attempts)
    with Downloader(policy) as downloader:
        arguments.run(arguments, downloader)
    return 0


def _print_crawls(arguments: argparse.Namespace, downloader: Downloader) -> None:
    crawls = list_crawls(arguments.index_url, downloader)
    for crawl in islice(crawls, arguments.limit):
        print(f"{crawl.name}  {crawl.title}")


def _print_files(arguments: argparse.Namespace, downloader: Downloader) -> None:
    crawl = _crawl(arguments, downloader)
    paths = list_paths(crawl, arguments.kind, arguments.data_url, downloader=downloader)
    groups = group_paths(paths, arguments.files_per_group)
    for number, group in enumerate(islice(groups, arguments.limit)):
        for path in group:
            print(f"{partition_key(crawl, number)}  {path}")
    print(f"{len(paths):,} {arguments.kind} files, {len(groups):,} groups", file=sys.stderr)


def _print_captures(arguments: argparse.Namespace, downloader: Downloader) -> None:
    crawl = _crawl(arguments, downloader)
    captures = find_captures(arguments.url, crawl, index_url=arguments.index_url, downloader=downloader)
    for capture in islice(captures, arguments.limit):
        place = f"{capture.filename}+{capture.offset}:{capture.length}"
        print(f"{capture.timestamp}  {capture.status or '-'}  {capture.mime or '-'}  {capture.url}  {place}")
    if not captures:
        raise PartialError(f"{arguments.url}: not captured in {crawl}")


def _fetch(arguments: argparse.Namespace, downloader: Downloader) -> None:
    urls = [*arguments.url, *(_read_urls(arguments.urls) if arguments.urls else [])]
    if not urls:
        raise ConfigurationError("fetch: no URL given, expected URLs after the output file, or --urls FILE")
    crawl = _crawl(arguments, downloader)
    found = fetch_pages(
        urls,
        crawl,
        arguments.output,
        index_url=arguments.index_url,
        data_url=arguments.data_url,
        downloader=downloader,
    )
    for page in found.missing:
        print(f"missing  {page.reason}  {page.url}  {page.detail}".rstrip(), file=sys.stderr)
    print(f"{found.target}: {found.num_found} of {found.num_urls} pages, {found.size_bytes:,} bytes")
    if found.missing:
        counts = ", ".join(f"{reason} {count}" for reason, count in found.missing_by_reason.items())
        raise PartialError(f"{len(found.missing)} of {found.num_urls} pages are missing: {counts}")


def _read_urls(place: str) -> list[str]:
    """Return the URLs of a file; `-` is standard input."""
    return url_lines(sys.stdin.read()) if place == "-" else read_urls(place)


def _crawl(arguments: argparse.Namespace, downloader: Downloader) -> str:
    return arguments.crawl or newest_crawl(arguments.index_url, downloader).name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.common_crawl",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--index-url", default=INDEX_URL, help="address of the list of crawls and the CDX index (default: %(default)s)"
    )
    parser.add_argument(
        "--data-url", default=DATA_URL, help="address or folder of the crawl's files (default: %(default)s)"
    )
    parser.add_argument(
        "--min-interval-s", type=float, default=0.25, help="seconds between two requests (default: %(default)s)"
    )
    parser.add_argument("--max-attempts", type=int, default=8, help="attempts per request (default: %(default)s)")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_lists(commands)
    fetch = add_command(commands, "fetch", "fetch pages by URL into a WARC file (resumable)")
    fetch.add_argument("output", help="output file, named .warc.gz; a report is written beside the output")
    fetch.add_argument("url", nargs="*", help="page URLs")
    fetch.add_argument("--urls", metavar="FILE", help="file with one URL per line, or - for standard input")
    fetch.add_argument("--crawl", help="a crawl's name (default: the newest)")
    fetch.set_defaults(run=_fetch)
    return parser


def _add_lists(commands: Commands[argparse.ArgumentParser]) -> None:
    crawls = add_command(commands, "crawls", "list crawls, newest first")
    crawls.set_defaults(run=_print_crawls)
    files = add_command(commands, "files", "list the files of a crawl by partition")
    files.add_argument("crawl", nargs="?", help="a crawl's name (default: the newest)")
    files.add_argument(
        "--kind", choices=get_args(FileKind), default="warc", help="kind of the files (default: %(default)s)"
    )
    files.add_argument("--files-per-group", type=int, default=2, help="files per partition (default: %(default)s)")
    files.set_defaults(run=_print_files)
    captures = add_command(commands, "captures", "list the captures of a URL or of a pattern with *")
    captures.add_argument("url", help="a URL, or a pattern such as 'https://example.org/*' or '*.example.org'")
    captures.add_argument("--crawl", help="a crawl's name (default: the newest)")
    captures.set_defaults(run=_print_captures)
    for command in (crawls, files, captures):
        command.add_argument("--limit", type=int, metavar="N", help="print at most N")


if __name__ == "__main__":
    run_command(main)
