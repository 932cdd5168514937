"""Training of fastText classifiers from labelled texts, with held-out metrics; models are opened by digest.

Decisions: a text is put in lower case on one line with its punctuation split off, which also keeps `__label__` in a
page from becoming a label. Examples are ordered by the hash of their text, so that neither the file's order nor its
runs of one class matter; the same hash says which are held out, so that equal texts lie on one side.

Reproducible: with `num_threads=1` (the default) training gives the same bytes each time. With more threads the weights
are updated without locks (Hogwild): finite and as good, but not the same bytes twice.

fastText (0.9.3, and 0.10 of fasttext-numpy2) fills its input matrix in ten blocks, of which each thread fills one:
below ten threads the rest is uninitialised memory, at worst NaN. `zeroed_allocations` makes it zeros.

A damaged model can crash the process that loads it; therefore a model is named by path and sha256, and both its layout
(`pipelines.classifiers.model_file`) and its digest are checked before fastText sees it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError, InputError, IntegrityError
from lm.storage import sha256_of
from pipelines.classifiers.metrics import (
    Labels,
    Scores,
    calibration,
    confusion,
    roc_auc,
    roc_curve,
    threshold_for_f1,
    threshold_for_precision,
    threshold_for_share,
)
from pipelines.classifiers.model_file import check_model_file, model_file
from pipelines.classifiers.preprocessing import normalize
from pipelines.documents.text_buffers import Texts

if TYPE_CHECKING:
    from pipelines.classifiers.fasttext_scoring import LinearScorer

Example = tuple[str, bool]

_POSITIVE, _NEGATIVE = "__label__positive", "__label__negative"
_M_PERTURB = -6  # glibc, malloc.h
_WANTED = ("wanted_precision", "wanted_share", "wanted_negative_share")


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """Settings of training, and of the threshold chosen on the held-out part."""

    dimensions: Annotated[int, Doc("Length of the word vectors."), Range(1, 4_096)] = 16
    epochs: Annotated[int, Doc("Minimum number of passes over the training part."), Range(1, 10_000)] = 5
    min_examples_seen: Annotated[
        int,
        Doc("Minimum number of examples seen in training; for a small set, epochs are added to reach this number."),
        Range(0),
    ] = 20_000
    learning_rate: Annotated[float, Doc("Initial learning rate of fastText, which decays to 0."), Range(above=0)] = 0.5
    word_ngrams: Annotated[int, Doc("Maximum length of a word n-gram."), Range(1, 16)] = 2
    min_count: Annotated[int, Doc("Minimum count of a word; rarer words are excluded."), Range(1)] = 2
    min_letters: Annotated[int, Doc("Minimum length of a letter n-gram; unused if max_letters is 0."), Range(0, 64)] = 0
    max_letters: Annotated[int, Doc("Maximum length of a letter n-gram; 0 means no letter n-grams."), Range(0, 64)] = 0
    num_buckets: Annotated[int, Doc("Hash buckets, shared by all n-grams."), Range(1, 2**30)] = 2**17
    num_threads: Annotated[int, Doc("Training threads; only 1 gives the same bytes every time."), Range(1, 4_096)] = 1
    seed: Annotated[int, Doc("Seed of fastText's initial weights."), Range(0, 2**31 - 1)] = 0
    heldout_share: Annotated[
        float,
        Doc("Share of the examples held out for evaluation, chosen by a hash of the text."),
        Range(above=0, below=1),
    ] = 0.2
    wanted_precision: Annotated[
        float | None,
        Doc(
            "Choose the lowest threshold with at least this precision. If all three `wanted` fields are empty: the "
            "highest F1."
        ),
        Range(above=0, most=1),
    ] = None
    wanted_share: Annotated[
        float | None, Doc("Choose the threshold that flags this share of the held-out part."), Range(above=0, most=1)
    ] = None
    wanted_negative_share: Annotated[
        float | None,
        Doc(
            "Choose the threshold that flags this share of the held-out negatives: the keep rate of a crawl's "
            "random pages."
        ),
        Range(above=0, most=1),
    ] = None

    def __post_init__(self) -> None:
        settle(self, "classifier")
        wanted = [name for name in _WANTED if getattr(self, name) is not None]
        if len(wanted) > 1:
            raise ConfigurationError(f"classifier: {' and '.join(wanted)} are set, expected one of them")

    @property
    def is_threshold_wanted(self) -> bool:
        """Return whether one of the `wanted` fields determines the threshold."""
        return any(getattr(self, name) is not None for name in _WANTED)


def predict_scores(model: Any, texts: Texts) -> Scores:
    """Return the probability of the positive class for each text, from 0 to 1; 0 for a text without a character to
    judge.
    """
    from pipelines.classifiers.fasttext_tokens import tokens_of  # it imports numba, which is slow to import

    return linear_scorer(model).scores(tokens_of(texts))


def linear_scorer(model: Any) -> LinearScorer:
    """Return the scorer of `model`, with its features' weights summed up.

    Raises:
        InputError: the model is not a two-class model of Loam.
    """
    from pipelines.classifiers.fasttext_scoring import scorer

    return scorer(model, _POSITIVE, _NEGATIVE)


def train_classifier(
    examples: Iterable[Example],
    config: ClassifierConfig,
    folder: Path,
    *,
    name: str = "model",
    score: Callable[[Any, Sequence[str]], Scores] = predict_scores,
) -> dict[str, Any]:
    """Train on one part of `examples`, write `folder/NAME.bin`, measure on the other part; returns the measurements.

    `score` gives the scores that are measured, where a stage scores documents otherwise than in one piece.
    The keys: `threshold`, `roc_auc`, `precision`, `recall`, `f1`, `false_positive_rate`, `flagged_share`,
    `roc_curve`, `calibration`, `top_words`, `num_train`, `num_heldout`, `num_heldout_positive`, `num_positive` and
    `model_sha256`.

    Raises:
        InputError: a class is missing from the training or the held-out part, or fastText cannot learn from the text.
    """
    train, heldout = split_examples(examples, config.heldout_share)
    for part, rows in (("training", train), ("held-out", heldout)):
        num_positive = sum(label for _, label in rows)
        if not 0 < num_positive < len(rows):
            raise InputError(
                f"classifier '{name}': {num_positive:,} positive of {len(rows):,} {part} examples, expected both kinds"
            )
    model = _fit(train, config, name)
    path = folder / model_file(name)
    model.save_model(str(path))
    scores = score(model, [text for text, _ in heldout])
    return {
        "num_train": len(train),
        "num_heldout": len(heldout),
        "num_positive": sum(label for _, label in train + heldout),
        "model_sha256": sha256_of(path),
        **measure_scores(scores, np.array([label for _, label in heldout]), config),
        "top_words": top_words(model),
    }


def measure_scores(scores: Scores, labels: Labels, config: ClassifierConfig) -> dict[str, Any]:
    """Return the threshold that `config` asks for, and the metrics at that threshold and over all thresholds."""
    if config.wanted_precision is not None:
        threshold = threshold_for_precision(scores, labels, config.wanted_precision)
    elif config.wanted_share is not None:
        threshold = threshold_for_share(scores, config.wanted_share)
    elif config.wanted_negative_share is not None:
        threshold = threshold_for_share(scores[~labels], config.wanted_negative_share)
    else:
        threshold = threshold_for_f1(scores, labels)
    return {
        "threshold": threshold,
        "roc_auc": roc_auc(scores, labels),
        **confusion(scores, labels, threshold),
        "roc_curve": roc_curve(scores, labels),
        "calibration": calibration(scores, labels),
        "num_heldout_positive": int(labels.sum()),
    }


def split_examples(examples: Iterable[Example], heldout_share: float) -> tuple[list[Example], list[Example]]:
    """Return `(train, held out)`, without repeated examples, in the order of their texts' hashes."""
    distinct = {(_hash(text), bool(label)): (text, bool(label)) for text, label in examples}
    border = int(heldout_share * 2**64)
    ordered = sorted(distinct.items())
    train = [example for (digest, _), example in ordered if digest >= border]
    return train, [example for (digest, _), example in ordered if digest < border]


def top_words(model: Any, num: int = 20, min_occurrences: int = 5) -> dict[str, list[str]]:
    """Return the words with the largest weights for and against the positive class: input vector times difference of
    output vectors.
    """
    words, occurrences = model.get_words(include_freq=True)
    labels, output = model.get_labels(), model.get_output_matrix()
    direction = output[labels.index(_POSITIVE)] - output[labels.index(_NEGATIVE)]
    weights = model.get_input_matrix()[: len(words)] @ direction
    frequent = [
        i for i in np.argsort(-weights, kind="stable") if occurrences[i] >= min_occurrences and words[i] != "</s>"
    ]
    return {"positive": [words[i] for i in frequent[:num]], "negative": [words[i] for i in frequent[::-1][:num]]}


@functools.lru_cache(maxsize=8)
def load_classifier(path: str, sha256: str) -> Any:
    """Return the fastText model at `path`, opened once per process, after its layout and digest were found right.

    Raises:
        InputError: the file is missing, or is not a whole fastText model.
        IntegrityError: another sha256.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    actual = sha256_of(Path(path))
    check_model_file(Path(path))
    if actual != sha256:
        raise IntegrityError(f"{path}: sha256 is {actual}, expected {sha256}")
    import fasttext

    return fasttext.load_model(path)


def _fit(train: Sequence[Example], config: ClassifierConfig, name: str) -> Any:
    import fasttext  # only trainers and scorers need it

    with tempfile.TemporaryDirectory(prefix="loam-classifier-") as scratch:
        lines = Path(scratch) / "train.txt"
        with lines.open("w", encoding="utf-8") as file:
            file.writelines(f"{_POSITIVE if label else _NEGATIVE} {normalize(text)}\n" for text, label in train)
        try:
            with zeroed_allocations():
                return fasttext.train_supervised(
                    input=str(lines),
                    dim=config.dimensions,
                    epoch=max(config.epochs, -(-config.min_examples_seen // len(train))),
                    lr=config.learning_rate,
                    wordNgrams=config.word_ngrams,
                    minCount=config.min_count,
                    minn=config.min_letters,
                    maxn=config.max_letters,
                    bucket=config.num_buckets,
                    thread=config.num_threads,
                    seed=config.seed,
                    verbose=0,
                )
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"classifier '{name}': fastText cannot learn from {len(train):,} examples: {error}"
            ) from error


@contextlib.contextmanager
def zeroed_allocations() -> Iterator[None]:
    """Make the C library allocate zeroed memory inside the block: glibc's M_PERTURB fills with the complement of its
    byte.

    Raises:
        ConfigurationError: a C library without mallopt (not glibc).
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt") or library.mallopt(_M_PERTURB, 0xFF) != 1:
        raise ConfigurationError("classifier: fastText trains on uninitialised memory without glibc's mallopt")
    try:
        yield
    finally:
        library.mallopt(_M_PERTURB, 0)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(normalize(text).encode(), digest_size=8).digest(), "big")
