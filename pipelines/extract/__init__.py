"""Extraction: the main text of a page, from the bytes of its WARC record."""

from typing import TYPE_CHECKING

from lm.lazy import load_on_first_use
from pipelines.extract.html import extract_text

if TYPE_CHECKING:
    from pipelines.extract.records import ExtractConfig, extract_warc_files

# Loaded on first use, since the child that parses pages starts faster without Arrow.
__getattr__ = load_on_first_use(__name__)
