"""Extraction: the main text of a page, from the bytes of its WARC record."""

from pipelines.extract.html import extract_text

__all__ = ["extract_text"]
