"""Scores from summed-up weights against fastText's own, and windows against those that are shown."""

import random

import fasttext
import numpy as np
import pytest

from lm.errors import InputError
from pipelines.classifiers.fasttext_scoring import _MEMO_SLOTS, scorer
from pipelines.classifiers.fasttext_tokens import tokens_of
from pipelines.classifiers.fasttext_training import ClassifierConfig, normalize, predict_scores, train_classifier
from pipelines.filters.harmful import HarmScale, _excess_shares, sentence_windows

LABELS = ("__label__positive", "__label__negative")
WORDS = ["stone", "river", "light", "naïve", "Σίσυφος", "日本語", "😀", "don't", "end…", "“quoted”", "well-known"]
WORDS += ["x_y", "3.14", "a", "«b»", "—", "snow"]


def sentences(source, num):
    return [" ".join(source.choices(WORDS, k=source.randint(1, 130))) + source.choice(".!?,") for _ in range(num)]


def texts(num, seed=0):
    source = random.Random(seed)
    joined = [source.choice([" ", "\n", "\n\n"]).join(sentences(source, source.randint(1, 12))) for _ in range(num)]
    return [*joined, "", "one", "...", "\n", "a\u00a0b\tc\r\nd\x85e", "Ünïcödé" * 300]


@pytest.fixture(scope="module", params=[{}, {"min_letters": 3, "max_letters": 5}, {"word_ngrams": 3, "max_letters": 2}])
def model(request, tmp_path_factory):
    source = random.Random(1)
    examples = [(" ".join(sentences(source, 2)), source.random() < 0.5) for _ in range(60)]
    folder = tmp_path_factory.mktemp("model")
    config = ClassifierConfig(num_buckets=1000, min_examples_seen=500, epochs=1, min_count=1, **request.param)
    train_classifier(examples, config, folder)
    return fasttext.load_model(str(folder / "model.bin"))


def fasttext_scores(model, lines):
    """What fastText says of normalised lines, as the classifiers were scored before."""
    labels, probabilities = model.predict(lines, k=2)
    found = [dict(zip(*row, strict=True)).get(LABELS[0], 0.0) for row in zip(labels, probabilities, strict=True)]
    return np.clip([score if line else 0.0 for score, line in zip(found, lines, strict=True)], 0, 1)


def test_scores_are_those_of_fasttext(model):
    documents = texts(40)
    expected = fasttext_scores(model, [normalize(text) for text in documents])
    assert np.abs(predict_scores(model, documents) - expected).max() < 2e-6
    assert expected.std() > 1e-4
    assert predict_scores(model, []).size == 0


def test_words_with_one_place_in_the_memo_keep_their_own_weights(model):
    words = [f"word{number}" for number in range(2000)]
    places = (tokens_of([" ".join(words)]).wide[:-1] & np.uint64(_MEMO_SLOTS - 1)).tolist()
    shared = [word for word, place in zip(words, places, strict=True) if places.count(place) > 1]
    assert len(shared) > 20
    text = " ".join([*shared, *shared])
    assert predict_scores(model, [text])[0] == pytest.approx(fasttext_scores(model, [text])[0], abs=2e-6)


def test_windows_are_those_that_are_shown(model):
    documents = texts(40, seed=2)
    shown = [sentence_windows(text) for text in documents]
    found = scorer(model, *LABELS).windows(tokens_of(documents), 24, 96)
    assert found.num_windows.tolist() == [len(windows) for windows in shown]
    flat = [window for windows in shown for window in windows]
    assert found.num_words.tolist() == [window.count(" ") + 1 for window in flat]
    assert np.abs(found.scores - fasttext_scores(model, [normalize(window) for window in flat])).max() < 2e-6


def test_a_document_scores_as_its_windows_say(model):
    documents, scale = texts(20, seed=3), HarmScale(window_words=30, floor=0.4)
    for text, score in zip(documents, _excess_shares(model, documents, scale), strict=True):
        windows = sentence_windows(text, 30)
        own = fasttext_scores(model, [normalize(window) for window in windows]) if windows else np.zeros(0)
        words = np.array([window.count(" ") + 1 for window in windows])
        assert score == pytest.approx((np.maximum(0, own - 0.4) / 0.6 * words).sum() / (words.sum() + 96), abs=3e-6)


def test_models_of_another_kind_are_refused(model):
    with pytest.raises(InputError, match="expected one with '__label__b', '__label__a'"):
        scorer(model, "__label__a", "__label__b")
