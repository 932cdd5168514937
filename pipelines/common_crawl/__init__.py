"""Common Crawl: the list of crawls, the files of a crawl, and single pages through the CDX index.

listing     crawls, the files of a crawl, groups of files
captures    the CDX index: WARC file, offset and length of each capture of a URL
pages       pages by URL, fetched by byte range into a local WARC file

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
