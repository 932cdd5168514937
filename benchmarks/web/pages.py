"""The news pages of `html_truth`: their bytes, their true text, and WARC files of many varied copies.

Every copy but each eighth has one word in eight replaced by another word of its page, so that copies are as far apart
as other pages are; each eighth is verbatim on another host. Records are as in Common Crawl: a request, a response
and metadata for each page, a gzip member each, with digests.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.shared_data import shared_data
from pipelines.demo_crawl.records import fields_of, gzip_member, http_message, sha1_digest, warc_record

_TEXT = re.compile(rb">[^<>]{20,}<")
_WORD = re.compile(rb"(?<![&#\w])[A-Za-z]{3,}(?![\w;])")
_SHARE_OF_WORDS = 8
_VERBATIM_EVERY = 8
_SHINGLE_TOKENS = 4
_DATE = "2024-05-18T01:58:10Z"


@dataclass(frozen=True, kw_only=True, slots=True)
class TruePage:
    """A page, its address, and the text that a reader would call the article."""

    name: str
    url: str
    html: bytes
    text: str


def true_pages() -> list[TruePage]:
    """Return the pages in the order of their names; empty where the folder is absent."""
    folder = shared_data() / "html_truth"
    if not (folder / "ground_truth.json").exists():
        return []
    truth = json.loads((folder / "ground_truth.json").read_text())
    return [
        TruePage(
            name=name,
            url=truth[name]["url"],
            html=gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes()),
            text=truth[name]["articleBody"],
        )
        for name in sorted(truth)
    ]


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """Return the runs of four tokens of a text; of all of its tokens, where it has fewer."""
    tokens = re.findall(r"\w+", text)
    width = min(_SHINGLE_TOKENS, max(1, len(tokens)))
    return Counter(tuple(tokens[i : i + width]) for i in range(len(tokens) - width + 1)) if tokens else Counter()


def precision_recall_f1(pages: list[TruePage], found: list[str]) -> tuple[float, float, float]:
    """Return precision and recall of shingles, averaged over the pages, and the harmonic mean of the two."""
    precision = recall = 0.0
    for page, text in zip(pages, found, strict=True):
        expected, given = shingles(page.text), shingles(text)
        shared = (expected & given).total()
        precision += shared / max(1, given.total()) / len(pages)
        recall += shared / max(1, expected.total()) / len(pages)
    return precision, recall, 2 * precision * recall / (precision + recall)


def write_warc(path: Path, pages: list[TruePage], num_copies: int, seed: int) -> int:
    """Write `num_copies` of every page to `path`, page by page within a copy; returns the number of pages."""
    source = random.Random(seed)
    with path.open("wb") as file:
        for copy in range(num_copies):
            for page in pages:
                html = page.html if copy % _VERBATIM_EVERY == 0 else _varied(page.html, source)
                file.writelines(map(gzip_member, _records(page, html, f"{seed}-{copy}")))
    return num_copies * len(pages)


def _varied(html: bytes, source: random.Random) -> bytes:
    """Return `html` with one word in eight of its text replaced by another of its words."""
    words = [word for text in _TEXT.findall(html) for word in _WORD.findall(text)]
    if not words:
        return html

    def replace(match: re.Match[bytes]) -> bytes:
        return source.choice(words) if source.random() * _SHARE_OF_WORDS < 1 else match[0]

    return _TEXT.sub(lambda text: _WORD.sub(replace, text[0]), html)


def _records(page: TruePage, html: bytes, key: str) -> list[bytes]:
    url = page.url.replace("://", f"://copy-{key}.", 1)  # a host of its own: copies are not one site
    request_id, response_id, metadata_id = (str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind} {url}")) for kind in "qrm")
    host = url.split("/")[2]
    agent = ("User-Agent", "CCBot/2.0 (https://commoncrawl.org/faq/)")
    request = http_message("GET / HTTP/1.1", [agent, ("Host", host), ("Accept-Encoding", "br,gzip")])
    content = [("Content-Type", "text/html"), ("Server", "nginx"), ("Content-Length", str(len(html)))]
    response = http_message("HTTP/1.1 200 OK", content, html)
    metadata = fields_of({"fetchTimeMs": "187", "charset-detected": "UTF-8", "languages-cld2": '{"reliable":true}'})
    payload = {"WARC-Payload-Digest": sha1_digest(html), "WARC-Identified-Payload-Type": "text/html"}
    target = {"WARC-Target-URI": url}
    return [
        warc_record("request", request_id, _DATE, "application/http; msgtype=request", request, target),
        warc_record("response", response_id, _DATE, "application/http; msgtype=response", response, target | payload),
        warc_record("metadata", metadata_id, _DATE, "application/warc-fields", metadata, target),
    ]
