"""Content types as servers write them."""

import pytest

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
