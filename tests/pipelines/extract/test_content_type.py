"""Content types as servers write them."""

import pytest

from pipelines.extract import content_type
from pipelines.extract.content_type import ContentType, parse_content_type


@pytest.mark.parametrize(
    ("header", "essence", "charset"),
    [
        ("text/html", "text/html", None),
        ("Text/HTML;Charset=UTF-8", "text/html", "UTF-8"),
        ("text/html; Charset = 'UTF-8'", "text/html", "UTF-8"),
        ('text/html; a="; charset=x"; charset="gbk"', "text/html", "gbk"),
        ("text/html, text/html", "text/html", None),
        ("text/html; charset=gbk, text/html", "text/html", "gbk"),
        ("text/html; charset=gbk, text/html; charset=big5", "text/html", "big5"),
        ("text/plain; charset=gbk, text/html", "text/html", None),
        ("text/html, */*", "text/html", None),
        ("text/html, nonsense", "text/html", None),
        (",text/html,", "text/html", None),
        ('text/html; title="a, b", image/png', "image/png", None),
        ("text/html charset=utf-8", "text/html", "utf-8"),
        ("html", "", None),
        ("*/*", "", None),
        ("", "", None),
        (None, "", None),
    ],
)
def test_content_types(header, essence, charset):
    assert parse_content_type(header) == ContentType(essence, charset)


def test_long_headers_are_read_and_not_kept():
    """A hostile crawl has thousands of them, each as long as a record may be."""
    content_type._remembered.cache_clear()
    for number in range(20):
        header = f"text/html; charset=gbk; x={number}{'y' * 100_000}"
        assert parse_content_type(header) == ContentType("text/html", "gbk")
    assert content_type._remembered.cache_info().currsize == 0
    for _ in range(2):
        assert parse_content_type("text/html; charset=gbk") == ContentType("text/html", "gbk")
    assert content_type._remembered.cache_info()[:2] == (1, 1)
