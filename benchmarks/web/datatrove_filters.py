"""datatrove's filters against Loam's: two verdicts on one document, and the reason of a difference.

datatrove splits words with spaCy, so that a comma is a word of its own; the papers speak of words, and Loam, Dolma,
DCLM and NeMo Curator take what white space separates. `white_space_words` puts that in datatrove's place, so that what
is compared are the rules; what the tokenizer changes is counted apart.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.filters.heuristics import FINEWEB, GOPHER, RULES, HeuristicFilter
from pipelines.filters.repetition import THRESHOLDS, repetition_shares

FILTERS = ("gopher", "repetition", "c4", "fineweb")
_ENDS = re.compile(r"[.!?…][\"'”’)\]]{0,3}(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The rule by which each side removes a document, or None where it keeps it."""

    theirs: str | None
    ours: str | None

    @property
    def agree(self) -> bool:
        """Return whether both keep it or both remove it."""
        return (self.theirs is None) == (self.ours is None)


WHY = {
    ("gopher", "gopher_enough_stop_words", None): "they want stop words in lower case and without punctuation",
    ("gopher", None, "hashes_per_word"): "they count words of punctuation alone, so a hash weighs less",
    ("gopher", None, "min_words"): "they count emoji and other signs as words",
    ("c4", None, "sentences"): "they see a sentence in every line, we at every end of one",
    ("c4", "too_few_sentences", None): "an end of a sentence that ours sees and theirs does not",
    ("c4", None, "curly_brackets"): "they look for brackets in the lines that stay, the paper in the page",
    ("c4", None, "lorem_ipsum"): "they look for it in the lines that stay, the paper in the page",
    ("fineweb", "line_punct_ratio", None): "they take no quotation mark behind the end of a sentence",
    ("fineweb", None, "ended_lines"): "they take the ends of sentences of more scripts",
    ("fineweb", None, "duplicate_line_characters"): "they count the white space that indents a line",
    ("fineweb", None, "short_lines"): "they count the white space that indents a line",
}
"""Filter, their rule and ours, to why the two differ; `_REPETITION` for the rules on n-grams."""
_REPETITION = {
    True: "they count an n-gram that occurs once, and punctuation",
    False: "they divide by all characters, punctuation and white space too, which n-grams of theirs lack",
}


def why(name: str, verdicts: Verdicts) -> str | None:
    """Return the reason why two verdicts differ; None for an unknown reason."""
    rules = (verdicts.theirs or "", verdicts.ours or "")
    if name == "repetition" and any("gram" in rule for rule in rules):
        return _REPETITION[verdicts.ours is None]
    return WHY.get((name, verdicts.theirs, verdicts.ours))


def theirs(name: str) -> Callable[[str], str | None]:
    """Return datatrove's filter, with the thresholds of the papers where its own are others."""
    module, document = importlib.import_module("datatrove.pipeline.filters"), importlib.import_module("datatrove.data")
    made = {
        "gopher": lambda: module.GopherQualityFilter(),
        "repetition": lambda: module.GopherRepetitionFilter(),
        # The paper has 5 words and 3 sentences, datatrove has it the other way round.
        "c4": lambda: module.C4QualityFilter(min_words_per_line=5, min_num_sentences=3),
        "fineweb": lambda: module.FineWebQualityFilter(char_duplicates_ratio=0.1),
    }[name]()

    def verdict(text: str) -> str | None:
        try:
            found = made.filter(document.Document(text=text, id=""))
        except ZeroDivisionError:  # a document without a word
            return "no words"
        return None if found is True else str(found[1])

    return verdict


def ours(name: str) -> Callable[[str], str | None]:
    """Return Loam's rules of the same paper."""
    if name == "repetition":
        return lambda text: next((rule for rule, at in repetition_shares(text).items() if at > THRESHOLDS[rule]), None)
    if name == "fineweb":  # its own four, without Gopher's and C4's that the preset asks before them
        own = {**dict.fromkeys(GOPHER), **{rule: RULES[rule].threshold for rule in FINEWEB}}
        stage = HeuristicFilter(preset="gopher", overrides=own)
    else:
        stage = HeuristicFilter(preset=name)
    return lambda text: next((verdict.rule for verdict in stage.violations(text)), None)


@contextlib.contextmanager
def white_space_words() -> Iterator[None]:
    """Let datatrove split words by white space within the block, and sentences as Loam does."""
    tokenizers: Any = importlib.import_module("datatrove.utils.word_tokenizers")
    texts: Any = importlib.import_module("datatrove.utils.text")
    before = tokenizers.load_word_tokenizer
    tokenizers.load_word_tokenizer = lambda _: _WhiteSpace()
    texts.split_into_parts.cache_clear()
    try:
        yield
    finally:
        tokenizers.load_word_tokenizer = before
        texts.split_into_parts.cache_clear()


class _WhiteSpace:
    def word_tokenize(self, text: str) -> list[str]:
        return text.split()

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        ends = [match.end() for match in _ENDS.finditer(text)]
        if not ends or text[ends[-1] :].strip():
            ends.append(len(text))
        return list(zip([0, *ends], ends, strict=False))


@functools.cache
def is_installed() -> bool:
    """Return whether datatrove and what its filters need are here."""
    try:
        importlib.import_module("datatrove.pipeline.filters")
        importlib.import_module("spacy")
    except ImportError:
        return False
    return True
