"""The pages of `html_snippets`, each with snippets that its text must and must not have, and the scores over them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.shared_data import shared_data


@dataclass(frozen=True, kw_only=True, slots=True)
class SnippetPage:
    """A page, and the snippets that its text must and must not have, with white space folded."""

    name: str
    url: str
    html: bytes
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SnippetScore:
    """Precision, recall and F1 of snippets over all pages, and the number of pages without text."""

    precision: float
    recall: float
    f1: float
    num_empty: int


def snippet_pages() -> list[SnippetPage]:
    """Return the pages in the order of their names; empty where the folder is absent."""
    folder = shared_data() / "html_snippets"
    if not (folder / "truth.json").exists():
        return []
    truth: Mapping[str, Mapping[str, list[str]]] = json.loads((folder / "truth.json").read_text())
    return [
        SnippetPage(
            name=name,
            url=str(entry["url"]),
            html=gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes()),
            wanted=tuple(map(folded, entry["with"])),
            unwanted=tuple(map(folded, entry["without"])),
        )
        for name, entry in sorted(truth.items())
    ]


def folded(text: str) -> str:
    """Return the text with all white space as single spaces."""
    return " ".join(text.split())


def snippet_score(pages: Sequence[SnippetPage], texts: Sequence[str]) -> SnippetScore:
    """Return micro-averaged scores: a snippet found that is wanted is right, one found that is not is wrong."""
    num_right = num_wrong = num_wanted = num_empty = 0
    for page, text in zip(pages, map(folded, texts), strict=True):
        num_right += sum(snippet in text for snippet in page.wanted)
        num_wrong += sum(snippet in text for snippet in page.unwanted)
        num_wanted += len(page.wanted)
        num_empty += not text
    precision = num_right / max(1, num_right + num_wrong)
    recall = num_right / max(1, num_wanted)
    return SnippetScore(precision, recall, 2 * precision * recall / max(1e-9, precision + recall), num_empty)
