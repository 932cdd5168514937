"""Harmful content: windows, document scores, the stage, and the measured quality on labelled tweets."""

import random

import numpy as np
import pyarrow as pa
import pytest

from pipelines.classifiers.fasttext_training import load_classifier, predict_scores, train_classifier
from pipelines.filters.harmful import (
    DEFAULT_CONFIG,
    HarmfulFilter,
    _whole_scores,
    document_scores,
    sentence_scores,
    sentence_windows,
    train_harmful_classifiers,
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
    summaries = train_harmful_classifiers(
        [(text, toxic) for text, toxic, _ in rows], [(text, adult) for text, _, adult in rows], DEFAULT_CONFIG, folder
    )
    assert set(summaries) == {"toxic", "adult"}
    return HarmfulFilter(
        toxic_model_path=str(folder / "toxic.bin"),
        toxic_model_sha256=summaries["toxic"]["model_sha256"],
        adult_model_path=str(folder / "adult.bin"),
        adult_model_sha256=summaries["adult"]["model_sha256"],
    )


def batch(*texts):
    schema = pa.schema([("doc_id", pa.string()), ("url", pa.string()), ("text", pa.large_string())])
    rows = [{"doc_id": str(i), "url": "u", "text": text} for i, text in enumerate(texts)]
    return pa.RecordBatch.from_pylist(rows, schema=schema)


def test_removes_each_kind_by_its_name_and_keeps_the_clean(stage):
    kept, removed = stage(batch(passage(CLEAN, 1), passage(TOXIC, 2), passage(ADULT, 3), ""))
    assert kept.column("doc_id").to_pylist() == ["0", "3"]
    assert removed.column("rule").to_pylist() == ["toxic", "adult"]
    assert all(row["value"] >= row["threshold"] == 0.5 for row in removed.to_pylist())
    assert {"toxic_score", "adult_score"} <= set(kept.schema.names)


def test_two_harmful_passages_in_a_long_page_are_found_one_misread_window_is_not(stage):
    clean = [passage(CLEAN, i) for i in range(40)]
    one = " ".join([*clean, passage(TOXIC, 7)])
    two = " ".join([*clean[:20], passage(TOXIC, 7), *clean[20:], passage(TOXIC, 8)])
    kept, removed = stage(batch(one, two))
    assert kept.column("doc_id").to_pylist() == ["0"]
    assert removed.column("doc_id").to_pylist() == ["1"]
    model = load_classifier(stage.toxic_model_path, stage.toxic_model_sha256)
    scores = sentence_scores(model, two)
    worst = sorted(scores, key=lambda row: -row[1])[:2]
    assert {text for text, _ in worst} == {passage(TOXIC, 7), passage(TOXIC, 8)}


def test_windows_hold_whole_sentences_and_every_word():
    text = "One two three. " * 20 + "word " * 250 + "\n\nlast."
    windows = sentence_windows(text)
    assert " ".join(windows).split() == text.split()
    assert windows[0] == " ".join(["One two three."] * 8)
    assert max(len(window.split()) for window in windows) <= 24 + 96
    assert sentence_windows("") == []


def test_the_whole_score_is_what_one_piece_gives(stage):
    model = load_classifier(stage.toxic_model_path, stage.toxic_model_sha256)
    text = " ".join(passage(CLEAN + TOXIC, seed) for seed in range(12))
    windows = sentence_windows(text)
    assert len(windows) > 8
    by_window = predict_scores(model, windows)
    num_words = np.array([window.count(" ") + 1 for window in windows])
    whole = _whole_scores(by_window, num_words, np.array([0]))
    assert whole[0] == pytest.approx(predict_scores(model, [text])[0], abs=0.05)
    assert document_scores(model, [windows[0]])[0] == pytest.approx(by_window[0], abs=1e-4)


def test_scores_do_not_depend_on_the_other_documents(stage):
    model = load_classifier(stage.toxic_model_path, stage.toxic_model_sha256)
    texts = [passage(CLEAN, 1), passage(TOXIC, 2) + " " + passage(CLEAN, 5), "", passage(CLEAN, 3)]
    together = document_scores(model, texts).tolist()
    assert together == [document_scores(model, [text])[0] for text in texts]


def test_auc_on_labelled_tweets(shared_data, tmp_path):
    rows = read_labels(shared_data("toxicity/davidson_2017.csv"), "class", text="tweet", positive=("0", "1"))
    summary = train_classifier(rows, DEFAULT_CONFIG, tmp_path, name="toxic", score=document_scores)
    assert summary["num_heldout"] > 4_500
    assert summary["roc_auc"] >= 0.97
    assert summary["precision"] > 0.95
    assert summary["recall"] > 0.95
