"""Common Crawl: its crawls, the files of a crawl, and single pages through its index.

listing     which crawls there are, which files a crawl has, how files form groups
captures    the CDX index: where in which WARC file a URL was captured
pages       pages by URL, fetched by byte range into a WARC file of one's own

python -m pipelines.common_crawl --help
"""

from typing import TYPE_CHECKING

from lm.lazy import load_on_first_use

if TYPE_CHECKING:
    from pipelines.common_crawl.captures import Capture, best_capture, find_captures
    from pipelines.common_crawl.listing import (
        DATA_URL,
        INDEX_URL,
        Crawl,
        FileKind,
        check_crawl_name,
        download_path,
        file_url,
        group_paths,
        list_crawls,
        list_paths,
        newest_crawl,
    )
    from pipelines.common_crawl.pages import FetchReport, MissingPage, fetch_pages, read_urls

__getattr__ = load_on_first_use(__name__)
