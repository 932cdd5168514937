"""Main text of pages."""

import time

import pytest

from pipelines.extract import charset, http_response
from pipelines.extract.charset_prescan import declared_charset
from pipelines.extract.content_type import parse_content_type
from pipelines.extract.html import extract_text, normalise_lines
from pipelines.extract.media_type import may_be_page, page_kind
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


@pytest.mark.parametrize(
    ("declared", "body", "kind"),
    [
        ("text/html", b"<p>x", "html"),
        ("application/xhtml+xml", b"<?xml?><html>", "html"),
        ("text/html", b"%PDF-1.7", None),
        ("text/html", b"\x89PNG\r\n", None),
        ("text/plain", b"words", "text"),
        ("text/plain", b"<!DOCTYPE html><html>", "html"),
        ("", b"  <!-- a --> <HTML lang=en>", "html"),
        ("", b"<STYLE> </STYLE><link>", "html"),
        ("", b"\n<a href=x>", "html"),
        ("", b"<br>", "html"),
        ("", b"<b>x", "html"),
        ("", b"<font color=red>", "html"),
        ("unknown/unknown", b"<iframe src=x>", "html"),
        ("*/*", b"\xef\xbb\xbf<h2>x", "html"),
        ("", b"<!-- a page that begins with words about <html> --> more", "html"),
        ("", b"<rss version='2.0'>", None),
        ("", b"<blink182>", None),
        ("", b"plain words", "text"),
        ("", b"words\x0eand bytes", None),
        ("", b"\x00\x00\x01\x00 an icon", None),
        ("text/plain", b"\x7fELF", None),
        ("text/plain", b"words \x1b[0m and \x0c pages", "text"),
        ("text/plain", b"words \x00 and bytes", None),
        ("text/plain", "words in UTF-16".encode("utf-16"), "text"),
        ("text/plain", "words in UTF-16".encode("utf-16-le"), "text"),
        ("text/plain", b"<a href=x>is how a link begins", "text"),
        ("text/html", bytes(range(256)), None),
        ("text/html", b"GIF89a\x01\x00\x01\x00\x80\x00\x00", None),
        ("text/html", b"<p>one stray \x02 in a page</p>", "html"),
        ("text/html", "<p>UTF-16 without a mark".encode("utf-16-be"), "html"),
        ("application/octet-stream", b"plain words", None),
        ("application/octet-stream", "<html>".encode("utf-16"), "html"),
        ("application/xml", b"<?xml version='1.0'?><rss>", None),
        ("application/xml", b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC '-'>", "html"),
        ("image/png", b"<html>", None),
        ("application/json", b"{}", None),
    ],
)
def test_what_is_a_page(declared, body, kind):
    assert page_kind(declared, body) == kind
    assert may_be_page(declared) or kind is None


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
