"""Main text of pages."""

import time

import pytest

from pipelines.extract import charset, http_response
from pipelines.extract.charset_prescan import declared_charset
from pipelines.extract.content_type import parse_content_type
from pipelines.extract.html import extract_text, normalise_lines
from pipelines.extract.media_type import page_kind
from pipelines.warc import header as warc_header

PAGE = """<!doctype html><html><head><title>Title</title><style>p {color: red}</style></head><body>
<nav class="menu"><ul><li><a href="/">Home</a></li><li><a href="/about">About us</a></li></ul></nav>
<div class="cookie-banner">We use cookies. <button>Accept</button></div>
<main><article><h1>On fences</h1>
<p>A fence   keeps sheep\n in a field, and&nbsp;walkers out of it.</p>
<p>It is mended <b>every</b> winter.</p><ul><li>posts</li><li>rails</li></ul>
<img src="x.png" alt="a picture of a fence"></article></main>
<section id="comments" class="comments"><p>First comment!</p></section>
<aside class="sidebar"><h3>Popular</h3><a href="/x">Ten sheep</a></aside>
<footer>Copyright 2024 Fence Weekly</footer><script>track("fence")</script></body></html>"""


def test_main_content_in_lines():
    assert extract_text(PAGE.encode()).split("\n") == [
        "On fences",
        "A fence keeps sheep in a field, and walkers out of it.",
        "It is mended every winter.",
        "• posts",
        "• rails",
    ]


@pytest.mark.parametrize("page", [b"", b"<html></html>", b"<script>x()</script>", b"\0\0\0", b"<p> &nbsp; </p>"])
def test_pages_without_text(page):
    assert extract_text(page) is None


def test_the_header_may_name_the_charset():
    page = "<p>Où sont les élèves ?</p>"
    assert extract_text(page.encode("cp1252"), content_type="text/html; charset=windows-1252") == "Où sont les élèves ?"


def test_lines_are_cleaned():
    text = " a\tb \u00a0 c\r\n\n\n\x00d\u200be\x07\u00ad\ufeff\ud800 \x0c f\u2028g "
    assert normalise_lines(text) == "a b c\nde\nf\ng"
    assert normalise_lines(normalise_lines(text)) == normalise_lines(text)


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    "attack",
    [
        b"<!--",
        b" ",
        b"<meta ",
        b"<meta charset",
        b"<?xml ",
        b"<!-- -->",
        b"charset=",
        b"\n\r",
        b"-->",
        b"a/b,",
        b'"',
        b"charset = ",
        b"\xe2\x80",
        b"<a =",
        b"; ",
    ],
)
def test_patterns_are_linear(attack):
    scanners = {
        "kind": lambda data: page_kind("", data),
        "meta": lambda data: declared_charset(b"<meta charset " + data),
        "bytes": lambda data: charset.decode_html(data + b"\xff", "utf-8"),
        "header": lambda data: parse_content_type(data.decode("latin-1")),
        "head": lambda data: http_response.parse_head(b"HTTP/1.1 200 OK\r\n" + data),
        "chunks": http_response.join_chunks,
        "version": lambda data: warc_header.VERSION_LINE.search(data),
        "end": lambda data: warc_header.HEADER_END.search(data),
        "lines": lambda data: normalise_lines(data.decode("latin-1")),
    }
    data = attack * (1_000_000 // len(attack))
    for name, scan in scanners.items():
        start = time.process_time()
        scan(data)
        assert time.process_time() - start < 1.0, name
