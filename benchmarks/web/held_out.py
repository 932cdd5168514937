"""What the thresholds of the second look at main content are worth on pages that they were not chosen on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from benchmarks.web.pages import TruePage, precision_recall_f1
from pipelines.extract.blocks import Block, candidate_blocks
from pipelines.extract.charset import decode_html
from pipelines.extract.main_content import SecondLook, second_look

CHOICES: Mapping[str, Sequence[float]] = MappingProxyType(
    {
        "max_link_share": (0.5, 0.3, 0.7, 1.0),
        "max_link_share_of_sentences": (0.9, 0.7, 1.0),
        "max_furniture_characters": (300, 0, 100, 200, 600),
        "min_sentence_characters": (80, 40, 120, 100_000),
        "min_paragraph_share": (0.5, 0.3, 0.7, 0.9, 2.0),
        "closing_share": (0.2, 0.0, 0.1, 0.4),
    }
)
"""For each threshold, the values to choose from; the extreme ones switch its rule off."""

Read = tuple[TruePage, list[Block]]


def held_out_f1(pages: Sequence[TruePage]) -> float:
    """F1 of each half of the pages by the thresholds that are best on the other half, averaged over the two."""
    read = [(page, candidate_blocks(decode_html(page.html)[0])) for page in pages]
    halves = (read[::2], read[1::2])
    return sum(_f1(there, _chosen(here)) for here, there in (halves, halves[::-1])) / 2


def _chosen(read: Sequence[Read]) -> SecondLook:
    """The best thresholds for these pages, found one after the other, from those that switch every rule off."""
    look = SecondLook(**{name: values[-1] for name, values in CHOICES.items()})  # type: ignore[arg-type]
    for name, values in CHOICES.items():
        looks = [replace(look, **{name: value}) for value in values]  # type: ignore[arg-type]
        look = max(looks, key=lambda each: _f1(read, each))
    return look


def _f1(read: Sequence[Read], look: SecondLook) -> float:
    texts = ["\n".join(block.bullet + block.text for block in second_look(blocks, look)) for _, blocks in read]
    return precision_recall_f1([page for page, _ in read], texts)[2]
