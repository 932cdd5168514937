"""A small crawl with its index, for tests."""

import base64
import gzip
import hashlib

from pipelines.fetch.download import DownloadPolicy
from tests.pipelines import warc_making as making

CRAWL = "CC-MAIN-2024-22"
FILE = f"crawl-data/{CRAWL}/segments/1715971057216.39/warc/{CRAWL}-00000.warc.gz"
QUICK = DownloadPolicy(max_attempts=3, backoff_s=0.01, min_interval_s=0.0)
URLS = [f"https://example.org/{number}" for number in range(5)]


def payload_digest(body):
    return base64.b32encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()


def crawl_files(num_pages=5):
    """A WARC file of pages and the index's rows for it."""
    members, rows, offset = (
        [gzip.compress(making.record(b"software: test\r\n", kind="warcinfo", number=99), mtime=0)],
        [],
        0,
    )
    for number in range(num_pages):
        body = making.page(number)
        digest = payload_digest(body)
        extra = [f"WARC-Payload-Digest: sha1:{digest}"]
        record = making.record(making.response(body), number=number, extra=extra)
        offset += len(members[-1])
        members.append(gzip.compress(record, mtime=0))
        rows.append(capture(f"https://example.org/{number}", offset, len(members[-1]), digest))
    return {FILE: b"".join(members)}, rows


def capture(url, offset, length, digest="", status="200", timestamp="20240518015810", filename=FILE):
    return {
        "urlkey": "org,example)/",
        "timestamp": timestamp,
        "url": url,
        "mime": "text/html",
        "mime-detected": "text/html",
        "status": status,
        "digest": digest,
        "length": str(length),
        "offset": str(offset),
        "filename": filename,
        "languages": "eng",
        "encoding": "UTF-8",
    }
