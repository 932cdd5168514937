"""Held-out evaluation of the thresholds of main-content extraction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from pipelines.extract.blocks import Reading
from pipelines.extract.charset import decode_html
from pipelines.extract.main_content import SecondLook, content_of, read_page

CHOICES: Mapping[str, Sequence[float]] = MappingProxyType(
    {
        "min_article_share": (0.6, 0.5, 0.75, 2.0),
        "min_lead_characters": (50, 30, 80, 100_000),
        "max_link_share": (0.5, 0.3, 0.7, 1.0),
        "max_link_share_of_sentences": (0.9, 0.7, 1.0),
        "max_furniture_characters": (300, 0, 100, 200, 600),
        "min_sentence_characters": (80, 40, 120, 100_000),
        "min_paragraph_share": (0.5, 0.3, 0.7, 0.9, 2.0),
        "max_fragment_words": (8, 4, 12, 0),
        "closing_share": (0.2, 0.0, 0.1, 0.4),
        "min_kept_share": (0.3, 0.1, 0.5, 0.0),
    }
)
"""For each threshold, the values to choose from; the extreme ones switch its rule off."""

Pages = Sequence[int]
Score = Callable[[Pages, Sequence[str]], float]
"""F1 of the texts of the pages with these numbers."""


def held_out_f1(pages: Sequence[bytes], score: Score) -> float:
    """Return F1 of each half of the pages by the thresholds that are best on the other half, averaged over the two."""
    read = [read_page(decode_html(page)[0]) for page in pages]
    halves = (range(0, len(read), 2), range(1, len(read), 2))
    return sum(_f1(read, there, _chosen(read, here, score), score) for here, there in (halves, halves[::-1])) / 2


def _chosen(read: Sequence[tuple[str, Reading]], pages: Pages, score: Score) -> SecondLook:
    """Return the best thresholds for these pages, found one after the other, from those that switch every rule off."""
    look = SecondLook(**{name: values[-1] for name, values in CHOICES.items()})  # type: ignore[arg-type]
    for name, values in CHOICES.items():
        looks = [replace(look, **{name: value}) for value in values]  # type: ignore[arg-type]
        look = max(looks, key=lambda each: _f1(read, pages, each, score))
    return look


def _f1(read: Sequence[tuple[str, Reading]], pages: Pages, look: SecondLook, score: Score) -> float:
    texts = ["\n".join(block.bullet + block.text for block in content_of(*read[i], look).blocks) for i in pages]
    return score(pages, texts)
