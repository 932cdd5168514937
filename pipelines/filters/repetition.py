"""Repetition within a document: Gopher's thirteen rules (Rae et al. 2021, arXiv:2112.11446, appendix A.1.1, table A1).

The preset `gopher` has the table's thresholds. The default `loam` allows a tenth more in repeated n-grams and a
twentieth more in the most frequent one: recipes, which name their ingredients twice, and short pages, which repeat
their title, are within it (docs/heuristics.md).

Decisions: a line or paragraph is a duplicate where an equal one came before; a duplicate n-gram likewise, and the walk
goes on behind it, so that no character counts twice. The share of a text's characters takes the text as its words
joined by single spaces, in the n-gram and in the whole alike, so that shares lie between 0 and 1. Equality is that of
64-bit hashes. Where no 5-gram repeats, no longer one can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lm.configuration import Doc, OneOf, Range, settle, unknown_key
from lm.errors import ConfigurationError
from pipelines.documents.schema import MEASURED, Judgement, Stage, Verdict, judged
from pipelines.filters.text_statistics import Array, Measured, measure_all

THRESHOLDS: Mapping[str, float] = MappingProxyType(
    {
        "duplicate_lines": 0.30,
        "duplicate_paragraphs": 0.30,
        "duplicate_line_characters": 0.20,
        "duplicate_paragraph_characters": 0.20,
        "top_2_gram": 0.20,
        "top_3_gram": 0.18,
        "top_4_gram": 0.16,
        "duplicate_5_grams": 0.15,
        "duplicate_6_grams": 0.14,
        "duplicate_7_grams": 0.13,
        "duplicate_8_grams": 0.12,
        "duplicate_9_grams": 0.11,
        "duplicate_10_grams": 0.10,
    }
)
"""Table A1: the greatest share that passes, in the table's order; n-gram rules are shares of characters."""

PRESETS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "loam": MappingProxyType(
            {
                rule: round(threshold + (0.10 if "_grams" in rule else 0.05 if "_gram" in rule else 0), 2)
                for rule, threshold in THRESHOLDS.items()
            }
        ),
        "gopher": THRESHOLDS,
    }
)
"""Thresholds by rule, by the name of a preset."""

SHARE_COLUMNS = tuple(f"{MEASURED}{rule}" for rule in THRESHOLDS)
"""The columns in which the heuristics leave the shares, from their own walk over the text."""

_TOP_LENGTHS, _DUPLICATE_LENGTHS = (2, 3, 4), (5, 6, 7, 8, 9, 10)
"""The n of the n-grams among the rules, in the table's order."""


class Share(NamedTuple):
    """Duplicates by number of items and by their characters, each from 0 to 1."""

    items: float
    characters: float


def duplicate_share(hashes: Array, lengths: Array) -> Share:
    """Return the share of a sequence of hashed items of `lengths` characters that repeats an earlier item."""
    from pipelines.filters import text_kernels

    return Share(*text_kernels.duplicate_share(hashes, lengths))


def repetition_shares(text: str) -> dict[str, float]:
    """Return the thirteen shares of table A1 for `text`."""
    return dict(zip(THRESHOLDS, shares_of(measure_all([text]))[:, 0].tolist(), strict=True))


@dataclass(frozen=True, kw_only=True)
class RepetitionFilter(Stage):
    """Keep documents within the thresholds of `preset`, as changed by `overrides`.

    Raises:
        ConfigurationError: at construction, an unknown preset or rule.
    """

    preset: Annotated[str, Doc("Thresholds: Loam's own, or the thresholds of the Gopher paper."), OneOf(PRESETS)] = (
        "loam"
    )
    overrides: Annotated[
        Mapping[str, float | None],
        Doc("Thresholds by rule, in place of the preset's; null switches a rule off."),
        Range(0),
    ] = field(default_factory=dict)

    name: ClassVar[str] = "repetition"

    def __post_init__(self) -> None:
        settle(self, "repetition")
        for rule in self.overrides:
            if rule not in THRESHOLDS:
                raise ConfigurationError(unknown_key(rule, THRESHOLDS, "repetition.overrides"))

    def judge(self, batch: pa.RecordBatch) -> Judgement:
        """Judge every document by the first rule that it fails, by the shares that heuristics measured where it did."""
        if SHARE_COLUMNS[-1] in batch.schema.names:
            columns = zip(*(batch.column(name).to_pylist() for name in SHARE_COLUMNS), strict=True)
            return judged(batch, [self._verdict(zip(THRESHOLDS, shares, strict=True)) for shares in columns])
        return judged(batch, [self.verdict(text) for text in batch.column("text").to_pylist()])

    def verdict(self, text: str) -> Verdict | None:
        """Return the first rule that `text` fails, with the value measured and the threshold; None where it passes."""
        return self._verdict(repetition_shares(text).items())

    def _verdict(self, shares: Iterable[tuple[str, float]]) -> Verdict | None:
        thresholds = {**PRESETS[self.preset], **self.overrides}
        for rule, share in shares:
            threshold = thresholds[rule]
            if threshold is not None and share > threshold:
                return Verdict(rule=rule, value=share, threshold=threshold)
        return None


def shares_of(measured: Measured, among: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the shares [rules, texts] of table A1, in its order; a column means nothing where `among` leaves its text
    out.
    """
    from pipelines.filters.text_kernels import repetition

    chosen = np.ones(len(measured.counts), np.bool_) if among is None else among
    found: NDArray[np.float64] = repetition(
        measured.words, measured.lines, measured.paragraphs, _TOP_LENGTHS, _DUPLICATE_LENGTHS, chosen
    )
    return found
