"""The extracted texts of the real pages in `html_snippets` and `html_truth`, with their languages."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.extract.html import extract_text
from pipelines.filters.language import identify_language

FOLDERS = ("html_snippets", "html_truth")


@dataclass(frozen=True, kw_only=True, slots=True)
class RealPage:
    """A page by the name of its file: its language, and the text that extraction gives."""

    name: str
    language: str
    text: str


def real_pages(locate: Callable[[str], Path]) -> Iterator[RealPage]:
    """Yield the pages with text, in the order of their files; `locate` finds a path below the folder of real inputs."""
    for folder in FOLDERS:
        for path in sorted((locate(folder) / "html").glob("*.html.gz")):
            text = extract_text(gzip.decompress(path.read_bytes()))
            if text:
                yield RealPage(name=path.name, language=identify_language(text)[0], text=text)
