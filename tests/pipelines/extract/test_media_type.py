"""Pages by their declared type and first bytes."""

import pytest

from pipelines.extract.media_type import may_be_page, page_kind


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
