"""WARC files made for tests: records with known ids, stored as asked."""

import base64
import gzip
import hashlib
import random
import uuid
from pathlib import Path

from pipelines.sources.warc_file import WarcFile

WORDS = (
    *("the", "river", "carries", "small", "boats", "past", "green", "hills", "while", "old", "farmers"),
    *("mend", "their", "wooden", "fences", "before", "winter"),
)


def block_digest(block):
    return "sha1:" + base64.b32encode(hashlib.sha1(block, usedforsecurity=False).digest()).decode()


def record(
    block, *, kind="response", number=0, uri=None, digest=True, length=None, record_id=None, extra=(), version="1.1"
):
    """One record's bytes; `digest` may be a wrong one, `length` a lie."""
    lines = [
        f"WARC/{version}",
        f"WARC-Type: {kind}",
        f"WARC-Record-ID: {record_id or f'<urn:uuid:{uuid.UUID(int=number + 1)}>'}",
        "WARC-Date: 2024-05-18T01:58:10Z",
        f"WARC-Target-URI: {uri or f'https://example.org/{number}'}",
        f"Content-Length: {len(block) if length is None else length}",
        *extra,
    ]
    if digest:
        lines.append(f"WARC-Block-Digest: {block_digest(block) if digest is True else digest}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def prose(number, num_words=60):
    """Sentences that differ from page to page."""
    dice = random.Random(number)
    return " ".join(dice.choice(WORDS) for _ in range(num_words)).capitalize() + "."


def page(number, num_paragraphs=3):
    """HTML with a title and paragraphs of `prose`."""
    paragraphs = "".join(f"<p>{prose(100 * number + i)}</p>" for i in range(num_paragraphs))
    return f"<!doctype html><html><body><article><h1>Page {number}</h1>{paragraphs}</article></body></html>".encode()


def response(body, *, content_type="text/html; charset=utf-8", status="200 OK", headers=()):
    """An HTTP response; `content_type` None leaves the header out."""
    lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {content_type}"] if content_type is not None else []), *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def pages(num_pages):
    """That many records, each a response with a page."""
    return [record(response(page(number)), number=number) for number in range(num_pages)]


def members(records):
    """A gzip member each."""
    return [gzip.compress(data, mtime=0) for data in records]


def write(path: Path, *parts):
    """Write the parts and describe the file."""
    path.write_bytes(b"".join(parts))
    return WarcFile(path.name, path, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


def article(seed, more=""):
    """A page of thirty sentences of their own for every seed; `more` is a last paragraph."""
    chooser = random.Random(seed)
    words = (*WORDS, "of", "and", "that", "to", "with", "have", "be", "a")
    sentences = [" ".join(chooser.choices(words, k=12)).capitalize() + "." for _ in range(30)]
    return f"<html><body><article><p>{' '.join(sentences)}</p><p>{more}</p></article></body></html>".encode()


def folder_of(folder, pages_by_file):
    """A folder of WARC files, by their names' first parts, each with its pages."""
    folder.mkdir()
    for name, pages in pages_by_file.items():
        records = [record(response(page), number=number) for number, page in enumerate(pages)]
        write(folder / f"{name}.warc.gz", *members(records))
    return folder
