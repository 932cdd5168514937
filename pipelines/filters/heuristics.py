"""Heuristic quality rules of Gopher, C4, FineWeb, RefinedWeb and Loam, in a table with their papers.

A rule is a lower or an upper bound on one statistic of a text; the bound itself passes. A document is removed by the
first rule it fails, in the table's order. The presets `c4`, `fineweb` and `refinedweb` first drop single lines
(`pipelines.filters.line_corrections`) and judge what is left, except for the rules that C4 applies to the unchanged
page.

The preset `loam` is the default: Gopher's rules, but for three that remove good pages (docs/heuristics.md). The other
presets are as their papers have them. In other languages than English a rule has the language's stop words, word length
and furniture (`pipelines.filters.language_rules`); a rule that does not apply to a language is off, and
`HeuristicFilter.rules_off` names it.

Where public implementations differ we follow the paper:
  mean word length is a mean; Gopher's stop words are counted as distinct ones, in any case and without the punctuation
  around them; words are what white space separates, so the word rules mean nothing in scripts that do not separate
  words (judge the language first); FineWeb's share of characters in duplicated lines is .1 (its code has .01).
Not covered: C4's list of bad words (`pipelines.filters.harmful` judges content) and its three-sentence deduplication
(`pipelines.dedup.exact`).

Sources:
  [G] Rae et al. 2021, Scaling Language Models, appendix A.1.1, "Quality filtering". arXiv:2112.11446
  [C] Raffel et al. 2020, Exploring the Limits of Transfer Learning, section 2.2. arXiv:1910.10683
  [F] Penedo et al. 2024, The FineWeb Datasets, section 3.5. arXiv:2406.17557
  [R] Penedo et al. 2023, The RefinedWeb Dataset for Falcon LLM, appendix G.2. arXiv:2306.01116
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lm.configuration import Doc, OneOf, Range, settle, unknown_key
from lm.errors import ConfigurationError
from pipelines.documents.schema import Judgement, Stage, Verdict, judged
from pipelines.filters.language_rules import (
    ENGLISH,
    FURNITURE,
    UNSPACED,
    count_stop_words,
    stop_words_of,
    word_length_ratio,
)
from pipelines.filters.line_corrections import Correction, correct_c4, correct_c4_for_fineweb, correct_refinedweb
from pipelines.filters.repetition import SHARE_COLUMNS, duplicate_share, shares_of
from pipelines.filters.text_statistics import Measured, TextStatistics, measure, measure_all


@dataclass(frozen=True, slots=True)
class Page:
    """The input of the rules: the original text, the text after line corrections, and its statistics."""

    original: str
    correction: Correction
    statistics: TextStatistics
    language: str = ENGLISH
    may_be_placeholder: bool = True
    """Whether the original may be the text of a placeholder: a first look, since most pages are not."""

    def count(self, name: str) -> int:
        """Return one of the counts of `TextStatistics`."""
        return self.statistics.counts[name]


@dataclass(frozen=True, slots=True)
class Rule:
    """One bound on one statistic. `paper` is the source above, with what it says there."""

    bound: Literal["at least", "at most"]
    threshold: float
    measure: Callable[[Page], float]
    paper: str

    def passes(self, value: float, threshold: float) -> bool:
        """Return whether `value` keeps within `threshold`."""
        return value >= threshold if self.bound == "at least" else value <= threshold


def _ratio(part: str, whole: str) -> Callable[[Page], float]:
    return lambda page: page.count(part) / max(1, page.count(whole))


def _count(name: str) -> Callable[[Page], float]:
    return lambda page: page.count(name)


def _count_sentences(page: Page) -> int:
    """Return the number of sentence ends before white space, plus the lines whose last sentence has no end mark."""
    text = page.correction.text
    return sum(1 for _ in _SENTENCE_END.finditer(text)) + sum(1 for _ in _UNENDED_LINE.finditer(text))


def _count_stop_words(page: Page) -> float:
    if page.language == ENGLISH:
        return page.count("stop_words")
    return count_stop_words(page.correction.text, stop_words_of(page.language), _ENOUGH_STOP_WORDS)


_PLACEHOLDER = "lorem ipsum"
_ENDS = ".!?…؟۔।॥։።"
_WIDE_ENDS = "。！？"
_SENTENCE_END = re.compile(rf"[{_ENDS}][\"'”’“»«)\]]{{0,3}}(?=\s|$)|[{_WIDE_ENDS}]")
_UNENDED_LINE = re.compile(rf"[^\s{_ENDS}{_WIDE_ENDS}\"'”’“»«)\]][\"'”’“»«)\] \t]{{0,8}}(?:\n|$)")
_ENOUGH_STOP_WORDS = 8  # as many as Gopher has
_WORD_LENGTH = _ratio("word_characters", "num_words")

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "curly_brackets": Rule("at most", 0, lambda page: page.original.count("{"), "[C] no page with a curly bracket"),
        "lorem_ipsum": Rule(
            "at most",
            0,
            lambda page: page.may_be_placeholder and _PLACEHOLDER in page.original.lower(),
            "[C] placeholder text",
        ),
        "dropped_words": Rule(
            "at most", 0.05, lambda page: page.correction.dropped_share, "[R] words in dropped lines"
        ),
        "min_words": Rule("at least", 50, _count("num_words"), "[G] between 50 and 100,000 words"),
        "max_words": Rule("at most", 100_000, _count("num_words"), "[G] between 50 and 100,000 words"),
        "min_mean_word_length": Rule("at least", 3, _WORD_LENGTH, "[G] mean word length 3 to 10 characters"),
        "max_mean_word_length": Rule("at most", 10, _WORD_LENGTH, "[G] mean word length 3 to 10 characters"),
        "hashes_per_word": Rule("at most", 0.1, _ratio("hashes", "num_words"), "[G] symbol-to-word ratio, hash"),
        "ellipses_per_word": Rule(
            "at most", 0.1, _ratio("ellipses", "num_words"), "[G] symbol-to-word ratio, ellipsis"
        ),
        "braces_per_word": Rule(
            "at most",
            0.1,
            lambda page: page.original.count("{") / max(1, page.count("num_words")),
            "ours: as hashes; [C]'s single brace removes good pages",
        ),
        "bullet_lines": Rule("at most", 0.9, _ratio("bullet_lines", "num_lines"), "[G] lines starting with a bullet"),
        "bullet_items": Rule(
            "at most", 0.9, _ratio("bullet_items", "num_lines"), "ours: [G]'s bullets, but for ended sentences"
        ),
        "ellipsis_lines": Rule(
            "at most", 0.3, _ratio("ellipsis_lines", "num_lines"), "[G] lines ending in an ellipsis"
        ),
        "ellipsis_characters": Rule(
            "at most",
            0.5,
            _ratio("ellipsis_characters", "line_characters"),
            "ours: [G]'s ellipses, by characters: teasers around an article",
        ),
        "alphabetic_words": Rule("at least", 0.8, _ratio("letter_tokens", "num_tokens"), "[G] words with a letter"),
        "letter_words": Rule(
            "at least", 0.5, _ratio("letter_tokens", "num_words"), "ours: [G]'s, not of signs such as = and |"
        ),
        "running_words": Rule(
            "at least",
            0.6,
            _ratio("running_words", "num_tokens"),
            "ours: words in sentences and lines of 6 words; menus have few",
        ),
        "stop_words": Rule("at least", 2, _count_stop_words, "[G] of the, be, to, of, and, that, have, with"),
        "sentences": Rule("at least", 3, _count_sentences, "[C] no page with fewer than 3 sentences"),
        "ended_lines": Rule("at least", 0.12, _ratio("ended_lines", "num_lines"), "[F] lines ending in punctuation"),
        "short_lines": Rule("at most", 0.67, _ratio("short_lines", "num_lines"), "[F] lines of at most 30 characters"),
        "duplicate_line_characters": Rule(
            "at most",
            0.1,
            lambda page: duplicate_share(*page.statistics.lines).characters,
            "[F] characters in duplicated lines",
        ),
        "newlines_per_word": Rule("at most", 0.3, _ratio("newlines", "num_words"), "[F] in its code: lists"),
    }
)
"""Every rule by name, in the order in which a document is judged."""

GOPHER = (
    "min_words", "max_words", "min_mean_word_length", "max_mean_word_length", "hashes_per_word", "ellipses_per_word",
    "bullet_lines", "ellipsis_lines", "alphabetic_words", "stop_words",
)  # fmt: skip
C4 = ("curly_brackets", "lorem_ipsum", "sentences")
FINEWEB = ("ended_lines", "short_lines", "duplicate_line_characters", "newlines_per_word")


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """A rule set: line corrections, rules, and thresholds that differ from the papers."""

    rules: tuple[str, ...]
    correct: Callable[[str, str], Correction] | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)


LOAM = (
    "lorem_ipsum", "min_words", "max_words", "min_mean_word_length", "max_mean_word_length", "hashes_per_word",
    "ellipses_per_word", "braces_per_word", "bullet_items", "ellipsis_characters", "letter_words", "running_words",
    "stop_words",
)  # fmt: skip
_OF_WORDS = frozenset(
    {"letter_words", "running_words", "braces_per_word", "newlines_per_word", "dropped_words", *GOPHER}
) - {"bullet_lines", "ellipsis_lines"}
"""Rules that do not apply to text without spaces between words."""

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        # Gopher's rules but for those that misfire on pages of teasers, tables, mathematics and dialogues.
        "loam": Preset(rules=LOAM),
        "gopher": Preset(rules=GOPHER),
        "c4": Preset(rules=C4, correct=correct_c4),
        # FineWeb asks Gopher's rules, C4's save for the end of lines, and its own ([F] section 3.6).
        # Its code asks C4's of 5 sentences and of lines of 3 words, where C4's paper has 3 and 5.
        "fineweb": Preset(
            rules=(*GOPHER, *C4, *FINEWEB),
            correct=correct_c4_for_fineweb,
            thresholds=MappingProxyType({"sentences": 5}),
        ),
        "refinedweb": Preset(rules=("dropped_words", *GOPHER), correct=correct_refinedweb),
    }
)


@dataclass(frozen=True, kw_only=True)
class HeuristicFilter(Stage):
    """Keep documents that pass every rule of `preset`, as it is in their language.

    The language is that of the column `language`, English where there is none. Presets with line corrections replace
    `text`.

    Raises:
        ConfigurationError: at construction, an unknown preset or rule.
    """

    preset: Annotated[str, Doc("Rule set: Loam's own, or a paper's."), OneOf(PRESETS)] = "loam"
    overrides: Annotated[
        Mapping[str, float | None],
        Doc(
            "Thresholds by rule, in place of the preset's. Null switches a rule off; a rule outside the preset is "
            "added."
        ),
        Range(0),
    ] = field(default_factory=dict)

    name: ClassVar[str] = "heuristics"

    def __post_init__(self) -> None:
        settle(self, "heuristics")
        for rule in self.overrides:
            if rule not in RULES:
                raise ConfigurationError(unknown_key(rule, RULES, "heuristics.overrides"))

    def thresholds(self, language: str = ENGLISH) -> dict[str, float]:
        """Return the rules for a language and their thresholds, in the order of application."""
        asked = self._asked()
        scale = word_length_ratio(language)
        for rule in ("min_mean_word_length", "max_mean_word_length"):
            if rule in asked and rule not in self.overrides:
                asked[rule] *= scale
        return {rule: asked[rule] for rule in RULES if rule in asked and not _is_off(rule, language)}

    def rules_off(self, language: str) -> tuple[str, ...]:
        """Return the rules of this filter that are off in a language, for want of a list of words or of spaces; and
        `furniture` where its lines are not corrected by phrases of the language.
        """
        off = tuple(rule for rule in RULES if rule in self._asked() and _is_off(rule, language))
        return (*off, "furniture") if PRESETS[self.preset].correct and language not in FURNITURE else off

    def violations(self, text: str, language: str = ENGLISH) -> list[Verdict]:
        """Return every rule that `text` fails after line corrections, in the order of application."""
        correction = _corrected(text, language, PRESETS[self.preset].correct)
        page = Page(original=text, correction=correction, statistics=measure(correction.text), language=language)
        return list(_violations(page, self.thresholds(language)))

    def judge(self, batch: pa.RecordBatch) -> Judgement:
        """Correct the lines, then judge what is left."""
        correct, column = PRESETS[self.preset].correct, batch.column("text")
        texts = column.to_pylist()
        languages = batch.column("language").to_pylist() if "language" in batch.schema.names else [ENGLISH] * len(texts)
        thresholds = {language: self.thresholds(language) for language in set(languages)}
        corrections = [_corrected(text, language, correct) for text, language in zip(texts, languages, strict=True)]
        corrected = column
        if correct is not None:
            corrected = pa.array([correction.text for correction in corrections], pa.large_string())
        measured = measure_all(corrected)
        may_be_placeholders = pc.match_substring(column, _PLACEHOLDER, ignore_case=True).to_pylist()
        pages = map(Page, texts, corrections, measured.by_text(), languages, may_be_placeholders)
        verdicts = [next(_violations(page, thresholds[page.language]), None) for page in pages]
        columns = {"text": corrected} if correct is not None else {}
        columns |= _shares_of_kept(measured, verdicts)
        return judged(batch, verdicts, columns)

    def _asked(self) -> dict[str, float]:
        preset = PRESETS[self.preset]
        asked: dict[str, float | None] = {rule: RULES[rule].threshold for rule in preset.rules}
        asked.update(preset.thresholds)
        asked.update(self.overrides)
        return {rule: threshold for rule, threshold in asked.items() if threshold is not None}


def gopher_violations(text: str, language: str = ENGLISH) -> list[Verdict]:
    """Return every Gopher quality rule that `text` fails, with the measured value and the threshold; empty if it
    passes.
    """
    return HeuristicFilter(preset="gopher").violations(text, language)


def _shares_of_kept(measured: Measured, verdicts: Sequence[Verdict | None]) -> dict[str, pa.Array]:
    """Return the shares of repetition by column, for the filter that follows: so the text is walked once for both."""
    is_removed = np.array([verdict is not None for verdict in verdicts], np.bool_)
    return {
        name: pa.array(shares, mask=is_removed)
        for name, shares in zip(SHARE_COLUMNS, shares_of(measured, ~is_removed), strict=True)
    }


def _is_off(rule: str, language: str) -> bool:
    if language in UNSPACED:
        return rule in _OF_WORDS
    return rule == "stop_words" and not stop_words_of(language)


def _corrected(text: str, language: str, correct: Callable[[str, str], Correction] | None) -> Correction:
    return Correction(text=text, dropped_share=0.0) if correct is None else correct(text, language)


def _violations(page: Page, thresholds: Mapping[str, float]) -> Iterator[Verdict]:
    for name, threshold in thresholds.items():
        rule = RULES[name]
        value = rule.measure(page)
        if not rule.passes(value, threshold):
            yield Verdict(rule=name, value=float(value), threshold=threshold)
