"""Language identification: the prevailing language of a text, and its share of the text.

Decisions: the default is CLD2 (package pycld2), which comes with its tables and needs no download; among the offline
packages measured it is the most accurate on texts of 500 characters and faster than all that come near it
(docs/language.md). It names the language that prevails and its share of the text, from 0 to 1. That share is the score;
it counts half where the answer is a guess, so that a guess stays below the threshold. A guess is what CLD2 itself calls
unreliable, unless most quarters of the sample are in the same language: CLD2 also calls a text unreliable of which it
passes over a fifth, names and numbers say, however plain the rest is. Only `SAMPLE_CHARACTERS` of a long text are read,
in windows spread over all of it, so that a frame of menus has the weight that it has in the page. A fastText model
such as lid.176.bin takes its place when a path and its sha256 are configured; then the score is that model's
probability.

Not covered: pages in several languages get the one language that prevails in the windows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pyarrow as pa

from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError
from pipelines.classifiers.fasttext_training import load_classifier
from pipelines.classifiers.preprocessing import one_line
from pipelines.documents.schema import Judgement, Stage, Verdict, judged

UNDETERMINED = "und"
"""The code of a text without a letter in it (ISO 639-2)."""

SAMPLE_CHARACTERS = 1536
"""How much of a text is read."""

_NUM_WINDOWS = 12
_NUM_PARTS, _MIN_AGREEING = 4, 3
_MIN_PART_CHARACTERS = 100
_MAX_PARTIAL_WORD = 16
_UNRELIABLE = 0.5
# CLD2 refuses a text with one of the first; from U+1FFFE on it refuses some more, and none tells of a language.
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff\U0001fffe-\U0010ffff]")
_ISO_639_1 = {"iw": "he", "jw": "jv", "sr-ME": "sr", "zh-Hant": "zh"}


def identify_language(text: str) -> tuple[str, float]:
    """Return the ISO 639-1 code of the language of `text` and its share of it; `("und", 0.0)` without a language to
    see.

    A language without a code of two letters has one of three. Norwegian is `no` in Bokmål and `nn` in Nynorsk.
    """
    sample = "\n".join(_windows(text))
    if not any(map(str.isalpha, sample)):
        return UNDETERMINED, 0.0
    import pycld2  # with its tables, so only where it is used

    readable = _readable(sample)
    reliable, _, found = pycld2.detect(readable)
    if not reliable:
        _, _, found = pycld2.detect(readable, bestEffort=True)
    _, code, percent, _ = found[0]
    if code.startswith(("un", "xx", "zz")):  # nothing, a script, or a game such as Pig Latin
        return UNDETERMINED, 0.0
    is_sure = reliable or _is_in_most_parts(code, sample)
    return _ISO_639_1.get(code, code), percent / 100 * (1 if is_sure else _UNRELIABLE)


def _is_in_most_parts(code: str, sample: str) -> bool:
    """Return whether most quarters of a sample, none of them too short to tell, are in the language `code` of CLD2."""
    width = len(sample) // _NUM_PARTS
    if width < _MIN_PART_CHARACTERS:
        return False
    import pycld2

    parts = [_readable(sample[place * width : (place + 1) * width]) for place in range(_NUM_PARTS)]
    return sum(pycld2.detect(part, bestEffort=True)[2][0][1] == code for part in parts) >= _MIN_AGREEING


@dataclass(frozen=True, kw_only=True)
class LanguageFilter(Stage):
    """Keep documents in one of `languages` with a score of at least `threshold`; adds `language` and `language_score`.

    Raises:
        ConfigurationError: at construction, a model without its digest or a threshold outside 0 to 1.
    """

    languages: Annotated[tuple[str, ...], Doc("ISO 639-1 codes of the languages to keep.")] = ("en",)
    threshold: Annotated[float, Doc("Minimum language score of a kept document, from 0 to 1."), Range(0, 1)] = 0.65
    fasttext_model_path: Annotated[
        str | None, Doc("Path of a fastText language model such as lid.176.bin; empty means the built-in identifier.")
    ] = None
    fasttext_sha256: Annotated[str | None, Doc("sha256 of the model file, checked before loading.")] = None

    name: ClassVar[str] = "language"

    def __post_init__(self) -> None:
        settle(self, "language")
        if (self.fasttext_model_path is None) != (self.fasttext_sha256 is None):
            raise ConfigurationError(
                "language: only one of fasttext_model_path and fasttext_sha256 is set, expected both or neither"
            )
        if not self.languages:
            raise ConfigurationError("language.languages: empty, expected at least one code such as 'en'")

    def judge(self, batch: pa.RecordBatch) -> Judgement:
        """Judge every document by its language, then by the certainty."""
        found = [self._identify(text) for text in batch.column("text").to_pylist()]
        columns = {
            "language": pa.array([code for code, _ in found], pa.string()),
            "language_score": pa.array([score for _, score in found], pa.float32()),
        }
        return judged(batch, [self._verdict(*each) for each in found], columns)

    def _identify(self, text: str) -> tuple[str, float]:
        if self.fasttext_model_path is None or self.fasttext_sha256 is None:
            return identify_language(text)
        return _identify_by_fasttext(load_classifier(self.fasttext_model_path, self.fasttext_sha256), text)

    def _verdict(self, code: str, score: float) -> Verdict | None:
        if code not in self.languages:
            return Verdict(rule=f"language_{code}", value=score)
        if score < self.threshold:
            return Verdict(rule="language_score", value=score, threshold=self.threshold)
        return None


def _windows(text: str) -> list[str]:
    """Return up to `SAMPLE_CHARACTERS` of `text`: all of a short one, else windows spread evenly, which begin and end
    with whole words where words are short.
    """
    if len(text) <= SAMPLE_CHARACTERS:
        return [text]
    width = SAMPLE_CHARACTERS // _NUM_WINDOWS
    spare = len(text) // _NUM_WINDOWS - width
    starts = [len(text) * window // _NUM_WINDOWS + spare // 2 for window in range(_NUM_WINDOWS)]
    return [_whole_words(text[start : start + width]) for start in starts]


def _whole_words(window: str) -> str:
    """Return the window without what may be part of a word at its ends."""
    first = window.find(" ", 0, _MAX_PARTIAL_WORD) + 1
    end = window.rfind(" ", len(window) - _MAX_PARTIAL_WORD)
    return window[first : end if end > 0 else len(window)]


def _readable(text: str) -> bytes:
    """Return `text` in UTF-8 with spaces for what CLD2 refuses: control characters, noncharacters, half surrogate
    pairs.
    """
    return _UNREADABLE.sub(" ", text).encode("utf-8", "ignore")


def _identify_by_fasttext(model: Any, text: str) -> tuple[str, float]:
    """Return the most probable label of a fastText language model; its labels read `__label__en`."""
    labels, scores = model.predict(one_line(text), k=1)
    if not labels:
        return UNDETERMINED, 0.0
    return labels[0].removeprefix("__label__"), min(1.0, float(scores[0]))
