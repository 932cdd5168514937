"""Language identification: which language a text is in, and how sure that is.

Decisions: the default model is py3langid's, which comes with the package and needs no download. Its score is a
probability that tempers with the square root of the length, so that a long text saturates near 1 and a short one does
not. Only `SAMPLE_CHARACTERS` of a long text are read, in three windows from its start, middle and end: menus at the top
of a page are often English where the page is not. A fastText model such as lid.176.bin takes its place when a path and
its sha256 are configured.

Not covered: pages in several languages get the one language that prevails in the windows.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from lm.errors import ConfigurationError
from pipelines.classifier import load_classifier, one_line
from pipelines.document import Verdict, split_batch

UNDETERMINED = "und"
"""The code of a text without a letter in it (ISO 639-2)."""

SAMPLE_CHARACTERS = 768
"""How much of a text is read."""

_NUM_WINDOWS = 3


def identify_language(text: str) -> tuple[str, float]:
    """The ISO 639-1 code of the language of `text` and its probability; `("und", 0.0)` without a letter."""
    sample = _sample(text)
    if not any(map(str.isalpha, sample)):
        return UNDETERMINED, 0.0
    code, score = _default_identifier().classify(sample)
    return code, float(score)


@dataclass(frozen=True, kw_only=True)
class LanguageFilter:
    """Keep documents in one of `languages` with at least `threshold` certainty; adds `language` and `language_score`.

    Raises:
        ConfigurationError: at construction, a model without its digest or a threshold that is no probability.
    """

    languages: tuple[str, ...] = ("en",)
    """ISO 639-1 codes of the languages to keep."""
    threshold: float = 0.65
    """Keep documents whose language is at least this certain, from 0 to 1."""
    fasttext_model_path: str | None = None
    """Path of a fastText language model such as lid.176.bin; empty means the built-in identifier."""
    fasttext_sha256: str | None = None
    """sha256 of that model's file, checked before it is loaded."""

    name: ClassVar[str] = "language"

    def __post_init__(self) -> None:
        if (self.fasttext_model_path is None) != (self.fasttext_sha256 is None):
            raise ConfigurationError(
                "language: fasttext_model_path and fasttext_sha256 belong together, one of them is missing"
            )
        if not 0 <= self.threshold <= 1:
            raise ConfigurationError(f"language.threshold: {self.threshold} is no probability, expected 0 to 1")
        if not self.languages:
            raise ConfigurationError("language.languages: empty, expected at least one code such as 'en'")

    def __call__(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Judge every document by its language, then by the certainty."""
        found = [self._identify(text) for text in batch.column("text").to_pylist()]
        columns = {
            "language": pa.array([code for code, _ in found], pa.string()),
            "language_score": pa.array([score for _, score in found], pa.float32()),
        }
        return split_batch(batch, self.name, [self._verdict(*each) for each in found], columns)

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


def _sample(text: str) -> str:
    """Up to `SAMPLE_CHARACTERS` of `text`: all of a short one, else windows from its start, middle and end."""
    if len(text) <= SAMPLE_CHARACTERS:
        return text
    width = SAMPLE_CHARACTERS // _NUM_WINDOWS
    last = len(text) - width
    starts = [last * window // (_NUM_WINDOWS - 1) for window in range(_NUM_WINDOWS)]
    return "\n".join(text[start : start + width] for start in starts)


def _identify_by_fasttext(model: Any, text: str) -> tuple[str, float]:
    """The most probable label of a fastText language model; its labels read `__label__en`."""
    labels, scores = model.predict(one_line(text), k=1)
    if not labels:
        return UNDETERMINED, 0.0
    return labels[0].removeprefix("__label__"), min(1.0, float(scores[0]))


@functools.cache
def _default_identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # a model in memory, so only where it is used

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
