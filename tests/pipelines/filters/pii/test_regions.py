"""Regions whose phone numbers a page is likely to hold."""

import pytest

from pipelines.filters.pii.regions import phone_regions


@pytest.mark.parametrize(
    ("language", "url", "first"),
    [(None, None, "US"), ("de", "https://example.org/", "DE"), ("de", "http://www.example.ch:80/x", "CH"), ("en",
     "https://a.co.uk/", "GB"),
     ("fr", "https://user@a.be/", "BE"), ("en", "https://a.io/", "US"), ("xx", "", "US"), ("ja", "ftp://a.jp", "JP")],
)  # fmt: skip
def test_countries_of_a_page(language, url, first):
    assert phone_regions(language, url)[0] == first
