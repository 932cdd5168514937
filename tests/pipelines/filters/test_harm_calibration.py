"""Thresholds on pages: chosen by the wanted rate of false positives, and measured at every length."""

import gzip
import json

import numpy as np
import pytest

from pipelines.classifiers.fasttext_training import load_classifier, predict_scores
from pipelines.filters import harm_calibration
from pipelines.filters.harm_calibration import calibrate, crawl_threshold, train_harmful_classifiers
from pipelines.filters.harmful import (
    DEFAULT_CONFIG,
    HarmScale,
    document_scores,
    sentence_windows,
)
from pipelines.filters.labels import read_labels


def test_the_rate_of_false_positives_on_a_crawl_is_the_wanted_one_whatever_share_of_it_is_harmful():
    generator = np.random.default_rng(0)
    clean, harmful = generator.beta(2, 20, 20_000), generator.beta(8, 8, 20_000)
    for share in (0, 0.01, 0.1):
        num = int(share * clean.size)
        threshold = crawl_threshold(np.concatenate([clean[num:], harmful[:num]]), harmful, 0.005, 0.02)
        assert (clean >= threshold).mean() <= 0.006
        assert (harmful >= threshold).mean() > 0.75  # without an estimate of the share, .4 where it is a tenth
    assert crawl_threshold(clean / 100, harmful, 0.005, 0.06) == 0.03  # the lowest that is allowed
    assert crawl_threshold(np.zeros(0), harmful, 0.005, 0.06) == 0.06
    shifted = crawl_threshold(clean + 0.5, harmful, 0.005, 0.02)  # a crawl that the classifier misreads as a whole
    assert (clean + 0.5 >= shifted).mean() < 0.01


@pytest.fixture(scope="module")
def tweets(shared_data):
    return list(read_labels(shared_data("toxicity/davidson_2017.csv"), "class", text="tweet", positive=("0", "1")))


@pytest.fixture(scope="module")
def trained_on_tweets(tweets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tweets")
    return folder, train_harmful_classifiers({"toxic": tweets}, DEFAULT_CONFIG, folder)["toxic"]


def test_tweets_are_told_apart_and_pages_of_them_at_every_length(trained_on_tweets):
    _, summary = trained_on_tweets
    assert summary["num_heldout"] > 4_500
    assert summary["roc_auc"] >= 0.97
    assert summary["precision"] > 0.95 and summary["recall"] > 0.95
    rows = summary["by_length"]
    assert [row["page_words"] for row in rows] == list(harm_calibration.PAGE_WORDS)
    assert max(row["false_positive_rate"] for row in rows) <= 0.02
    assert min(row["recall"] for row in rows[1:]) > 0.8


def test_the_calibration_sees_a_score_that_grows_with_length(tweets, trained_on_tweets, monkeypatch):
    """The worst window of a page, judged by a threshold for single tweets, flags nearly every long page."""
    folder, summary = trained_on_tweets

    def worst_window(model, texts, scale):
        return np.array([predict_scores(model, sentence_windows(text)).max(initial=0.0) for text in texts])

    monkeypatch.setattr(harm_calibration, "document_scores", worst_window)
    monkeypatch.setattr(harm_calibration, "_threshold", lambda *scores: summary["threshold"])
    monkeypatch.setattr(harm_calibration, "_NUM_PAGES", 40)
    model = load_classifier(str(folder / "toxic.bin"), summary["model_sha256"])
    rates = [row["false_positive_rate"] for row in calibrate(model, tweets, 0.5, DEFAULT_CONFIG)["by_length"]]
    assert rates == sorted(rates) and rates[0] < 0.5 < 0.9 < rates[-1]


def test_speeches_and_plays_are_not_toxic_whatever_their_length(trained_on_tweets, shared_data):
    """Davidson's tweets against prose of 300 to 30,000 words: no text is flagged."""
    folder, summary = trained_on_tweets
    with gzip.open(shared_data("prose/public_domain.jsonl.gz"), "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    scale = HarmScale(window_words=summary["window_words"], floor=summary["floor"])
    model = load_classifier(str(folder / "toxic.bin"), summary["model_sha256"])
    for words in (60, 300, 1_000, 100_000):
        cut = [" ".join(text.split(" ")[:words]) for text in texts]
        assert document_scores(model, cut, scale).max() < summary["page_threshold"]
