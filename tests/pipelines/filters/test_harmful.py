"""Harmful content: windows, document scores, the stage, and the measured quality on labelled tweets."""

import gzip
import json
import random

import numpy as np
import pyarrow as pa
import pytest

from lm.errors import ConfigurationError
from pipelines.classifiers.fasttext_training import load_classifier, predict_scores
from pipelines.filters import harm_calibration
from pipelines.filters.harm_calibration import calibrate, crawl_threshold, train_harmful_classifiers
from pipelines.filters.harmful import (
    DEFAULT_CONFIG,
    MIN_WINDOW_WORDS,
    HarmfulFilter,
    HarmScale,
    document_scores,
    sentence_windows,
)
from pipelines.filters.labels import read_labels

CLEAN = ["garden", "kettle", "station", "holiday", "cousin", "weather", "market", "bicycle", "supper", "choir"]
TOXIC = ["stupid", "idiot", "moron", "loser", "pathetic"]
ADULT = ["sexy", "naked", "lingerie", "erotic", "nude"]


def passage(words, seed, num=30):
    chooser = random.Random(seed)
    return " ".join(chooser.choices(CLEAN, k=num * 2 // 3) + chooser.choices(words, k=num // 3)) + "."


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("harmful")
    kinds = [(CLEAN, False, False), (TOXIC, True, False), (ADULT, False, True)]
    rows = [(passage(words, i), toxic, adult) for i in range(150) for words, toxic, adult in kinds]
    examples = {
        "toxic": [(text, toxic) for text, toxic, _ in rows],
        "adult": [(text, adult) for text, _, adult in rows],
    }
    summaries = train_harmful_classifiers(examples, DEFAULT_CONFIG, folder)
    assert set(summaries) == {"toxic", "adult"}
    assert all(row["false_positive_rate"] == 0 for row in summaries["toxic"]["by_length"])
    fields = {}
    for kind, summary in summaries.items():
        fields[f"{kind}_model_path"] = str(folder / f"{kind}.bin")
        fields[f"{kind}_model_sha256"] = summary["model_sha256"]
        fields[f"{kind}_scale"] = HarmScale(window_words=summary["window_words"], floor=summary["floor"])
        fields[f"{kind}_threshold"] = summary["page_threshold"]
    return HarmfulFilter(**fields)


def batch(*texts):
    schema = pa.schema([("doc_id", pa.string()), ("url", pa.string()), ("text", pa.large_string())])
    rows = [{"doc_id": str(i), "url": "u", "text": text} for i, text in enumerate(texts)]
    return pa.RecordBatch.from_pylist(rows, schema=schema)


def test_removes_each_kind_by_its_name_and_keeps_the_clean(stage):
    kept, removed = stage(batch(passage(CLEAN, 1, 90), passage(TOXIC, 2, 90), passage(ADULT, 3, 90), ""))
    assert kept.column("doc_id").to_pylist() == ["0", "3"]
    assert removed.column("rule").to_pylist() == ["toxic", "adult"]
    assert all(row["value"] >= row["threshold"] > 0.02 for row in removed.to_pylist())
    assert {"toxic_score", "adult_score"} <= set(kept.schema.names)


def test_a_kind_without_a_model_is_not_judged(stage):
    alone = HarmfulFilter(
        toxic_model_path=stage.toxic_model_path,
        toxic_model_sha256=stage.toxic_model_sha256,
        toxic_threshold=stage.toxic_threshold,
    )
    kept, _ = alone(batch(passage(CLEAN, 1, 90), passage(TOXIC, 2, 90), passage(ADULT, 3, 90)))
    assert kept.column("doc_id").to_pylist() == ["0", "2"]
    assert "toxic_score" in kept.schema.names and "adult_score" not in kept.schema.names
    with pytest.raises(ConfigurationError, match="no model"):
        HarmfulFilter()
    with pytest.raises(ConfigurationError, match="belong together"):
        HarmfulFilter(adult_model_path="adult.bin")


def test_the_score_is_a_share_of_the_page_whatever_its_length(stage):
    def page(num, num_toxic):
        return "\n".join(passage(TOXIC if i < num_toxic else CLEAN, i) for i in range(num))

    lengths = (4, 16, 64, 256)
    clean, quarter, whole = ([page(n, n // part if part else 0) for n in lengths] for part in (0, 4, 1))
    assert stage.scores("toxic", clean).max() < stage.toxic_threshold / 2
    for pages in (quarter, whole):
        scores = stage.scores("toxic", pages)
        assert (np.diff(scores) > 0).all()  # the constant number of harmless words beside the page's own weighs less
        assert scores[-1] < 1.3 * scores[-2]
    assert stage.scores("toxic", whole)[-1] > 3 * stage.scores("toxic", quarter)[-1] > 3 * stage.toxic_threshold / 2
    assert {text for text, score in sentence_scores_of(stage, quarter[1]) if score > 0.5} == {
        passage(TOXIC, i) for i in range(4)
    }


def sentence_scores_of(stage, text):
    """Every window of the text with its probability of harm."""
    windows = sentence_windows(text, MIN_WINDOW_WORDS)
    model = load_classifier(stage.toxic_model_path, stage.toxic_model_sha256)
    return list(zip(windows, predict_scores(model, windows).tolist(), strict=True))


def test_one_family_of_words_does_not_decide(stage):
    """A page that says one harmful word in every sentence is kept, and one that says several is not."""
    one, several = ("\n".join(passage(words, i, 60) for i in range(6)) for words in (["idiot"], TOXIC))
    assert min(score for _, score in sentence_scores_of(stage, one)) > 0.5
    kept, removed = stage(batch(one, several))
    assert kept.column("doc_id").to_pylist() == ["0"]
    assert removed.column("doc_id").to_pylist() == ["1"]


def test_windows_hold_whole_sentences_and_every_word():
    text = "One two three. " * 20 + "word " * 250 + "\n\nlast."
    windows = sentence_windows(text)
    assert " ".join(windows).split() == text.split()
    assert windows[0] == " ".join(["One two three."] * 8)
    assert max(len(window.split()) for window in windows) <= 24 + 96
    assert max(len(window.split()) for window in sentence_windows(text, 50)) <= 50 + 200
    assert sentence_windows("") == []


def test_scores_do_not_depend_on_the_other_documents(stage):
    model = load_classifier(stage.toxic_model_path, stage.toxic_model_sha256)
    texts = [passage(CLEAN, 1), passage(TOXIC, 2) + " " + passage(CLEAN, 5), "", passage(CLEAN, 3)]
    together = document_scores(model, texts).tolist()
    assert together == [document_scores(model, [text])[0] for text in texts]


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
