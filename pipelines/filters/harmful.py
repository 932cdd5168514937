"""Harmful-content filter: two classifiers, toxic and adult, that score the harmful share of a document.

    window     consecutive whole sentences of at least `window_words` words: the length of the labels
    excess     (p - floor) / (1 - floor) of a window with probability p, 0 below the floor
    score      sum of the windows' words x excess / (words of the document + 96)

Decisions:
- The score is a share of the document, so it does not grow with length: more windows mean more harmless words too. The
  96 words in the denominator count as harmless, so one misread window does not condemn a short page.
- The floor is the score that few held-out harmless windows reach (`pipelines.filters.harm_calibration`).
- A single word does not decide: a document with an excess is scored again without its heaviest family of words (those
  that share their first four letters), and the lower score counts. A page about coins has one such family; abuse has
  several.
- The threshold is chosen on pages, for a wanted rate of false positives (`pipelines.filters.harm_calibration`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa

from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError
from pipelines.classifiers.fasttext_training import ClassifierConfig, linear_scorer, load_classifier, predict_scores
from pipelines.classifiers.metrics import Scores
from pipelines.documents.schema import Judgement, Stage, Verdict, judged
from pipelines.documents.text_buffers import Texts

if TYPE_CHECKING:
    from pipelines.classifiers.fasttext_tokens import Tokens

KINDS = ("toxic", "adult")

DEFAULT_CONFIG = ClassifierConfig(min_letters=3, max_letters=5, learning_rate=0.2)
"""Letter n-grams find words spelt to evade a filter."""

MIN_WINDOW_WORDS = 24
MAX_WINDOW_WORDS = 96
_PRIOR_WORDS = 96
_SENTENCE_BORDER = re.compile(r"(?<=[.!?…])\s+|\n+")
_WORD = re.compile(r"\w+")
_FAMILY_LETTERS = 4
_DOUBTFUL_SCORE = 0.01
"""Lower scores are not looked at again: no threshold lies there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HarmScale:
    """The length of windows, and the probability from which a window counts as harmful."""

    window_words: Annotated[
        int, Doc("Minimum words per window; a sentence is cut at four times this number."), Range(1)
    ] = MIN_WINDOW_WORDS
    floor: Annotated[float, Doc("Highest probability that counts as harmless."), Range(0, 1)] = 0.5

    def __post_init__(self) -> None:
        settle(self, "harmful")


@dataclass(frozen=True, kw_only=True)
class HarmfulFilter(Stage):
    """Keep documents that score below both thresholds; adds `toxic_score` and `adult_score`.

    A kind without a model is not judged, and its column is not added.

    Raises:
        ConfigurationError: at construction, no model is given, or one without its digest.
    """

    toxic_model_path: Annotated[str | None, Doc("The fastText model file for toxic text.")] = None
    toxic_model_sha256: Annotated[str | None, Doc("The model file's sha256.")] = None
    adult_model_path: Annotated[str | None, Doc("The fastText model file for adult text.")] = None
    adult_model_sha256: Annotated[str | None, Doc("The model file's sha256.")] = None
    toxic_threshold: Annotated[float, Doc("Lowest toxic score of a removed document."), Range(0, 1)] = 0.1
    adult_threshold: Annotated[float, Doc("Lowest adult score of a removed document."), Range(0, 1)] = 0.1
    toxic_scale: Annotated[HarmScale, Doc("Window length and floor of the toxic score.")] = HarmScale()
    adult_scale: Annotated[HarmScale, Doc("Window length and floor of the adult score.")] = HarmScale()

    name: ClassVar[str] = "harmful"

    def __post_init__(self) -> None:
        settle(self, "harmful")
        for kind in KINDS:
            path, sha256 = self._model(kind)
            if (path is None) != (sha256 is None):
                raise ConfigurationError(
                    f"harmful: only one of {kind}_model_path and {kind}_model_sha256 is set, expected both or neither"
                )
        if not self.kinds:
            raise ConfigurationError("harmful: no model, expected toxic_model_path or adult_model_path")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of harm that are judged."""
        return tuple(kind for kind in KINDS if self._model(kind)[0] is not None)

    def judge(self, batch: pa.RecordBatch) -> Judgement:
        """Score every document for each kind and remove it by the first that reaches its threshold."""
        texts = batch.column("text")
        from pipelines.classifiers.fasttext_tokens import tokens_of  # it imports numba, which is slow to import

        tokens = tokens_of(texts)
        scores = {kind: self.scores(kind, texts, tokens) for kind in self.kinds}
        columns = {f"{kind}_score": pa.array(values, pa.float32()) for kind, values in scores.items()}
        by_document = zip(*(values.tolist() for values in scores.values()), strict=True)
        verdicts = [self._verdict(dict(zip(scores, row, strict=True))) for row in by_document]
        return judged(batch, verdicts, columns)

    def scores(self, kind: str, texts: Texts, tokens: Tokens | None = None) -> Scores:
        """Return the score of each text for one kind of harm; `tokens` are as in `document_scores`."""
        path, sha256 = self._model(kind)
        model = load_classifier(str(path), str(sha256))
        return document_scores(model, texts, getattr(self, f"{kind}_scale"), tokens)

    def _model(self, kind: str) -> tuple[str | None, str | None]:
        return getattr(self, f"{kind}_model_path"), getattr(self, f"{kind}_model_sha256")

    def _verdict(self, scores: Mapping[str, float]) -> Verdict | None:
        for kind, score in scores.items():
            threshold = getattr(self, f"{kind}_threshold")
            if score >= threshold:
                return Verdict(rule=kind, value=score, threshold=threshold)
        return None


def document_scores(model: Any, texts: Texts, scale: HarmScale | None = None, tokens: Tokens | None = None) -> Scores:
    """Return the harmful share of each text, from 0 to 1, as the module defines it.

    `tokens` are those of the texts, where another model has needed them already.
    """
    scale = scale or HarmScale()
    scores = _excess_shares(model, texts, scale, tokens)
    doubtful = np.flatnonzero(scores >= _DOUBTFUL_SCORE).tolist()
    if not doubtful:
        return scores
    without = _without_heaviest_families(model, [str(texts[index]).lower() for index in doubtful])
    scores[doubtful] = np.minimum(scores[doubtful], _excess_shares(model, without, scale))
    return scores


def _excess_shares(model: Any, texts: Texts, scale: HarmScale, tokens: Tokens | None = None) -> Scores:
    from pipelines.classifiers.fasttext_tokens import tokens_of  # it imports numba, which is slow to import

    tokens = tokens_of(texts) if tokens is None else tokens
    found = linear_scorer(model).windows(tokens, scale.window_words, 4 * scale.window_words)
    document = np.repeat(np.arange(len(texts)), found.num_windows)
    excess = np.maximum(0.0, found.scores - scale.floor) / (1 - scale.floor)
    harmful = np.bincount(document, excess * found.num_words, minlength=len(texts))
    return np.asarray(harmful / (np.bincount(document, found.num_words, minlength=len(texts)) + _PRIOR_WORDS))


def _without_heaviest_families(model: Any, texts: Sequence[str]) -> list[str]:
    """Return each of the lower-case `texts` without the family of words that speaks most for harm in it: the family
    with the greatest sum of occurrences x log-odds of the word alone, positive ones only.
    """
    counts = [Counter(_WORD.findall(text)) for text in texts]
    words = sorted(set().union(*counts))
    probabilities = np.clip(predict_scores(model, words), 1e-5, 1 - 1e-5)
    log_odds = np.log(probabilities / (1 - probabilities))
    harmful = {word: odds for word, odds in zip(words, log_odds.tolist(), strict=True) if odds > 0}
    found = []
    for text, occurrences in zip(texts, counts, strict=True):
        weights = Counter[str]()
        for word in sorted(occurrences.keys() & harmful.keys()):
            weights[word[:_FAMILY_LETTERS]] += occurrences[word] * harmful[word]
        found.append(_without_family(text, max(weights, key=lambda family: (weights[family], family), default="")))
    return found


def _without_family(text: str, family: str) -> str:
    """Return `text` without the words that begin with `family`, or are it where it is short."""
    if not family:
        return text
    rest = r"\w*" if len(family) == _FAMILY_LETTERS else r"\b"
    return re.sub(rf"\b{re.escape(family)}{rest}", "", text)


def sentence_windows(text: str, window_words: int = MIN_WINDOW_WORDS) -> list[str]:
    """Return `text` in windows of consecutive whole sentences of at least `window_words`; a sentence over four times as
    many words is cut.
    """
    most = 4 * window_words
    windows: list[list[str]] = [[]]
    for sentence in _SENTENCE_BORDER.split(text):
        words = sentence.split()
        for start in range(0, len(words), most):
            if len(windows[-1]) >= window_words:
                windows.append([])
            windows[-1] += words[start : start + most]
    return [" ".join(window) for window in windows if window]
