"""Harmful content: windows, document scores, the stage, and the measured quality on labelled tweets."""

import random

import numpy as np
import pyarrow as pa
import pytest

from lm.errors import ConfigurationError
from pipelines.classifiers.fasttext_training import load_classifier, predict_scores
from pipelines.filters.harm_calibration import train_harmful_classifiers
from pipelines.filters.harmful import (
    DEFAULT_CONFIG,
    MIN_WINDOW_WORDS,
    HarmfulFilter,
    HarmScale,
    document_scores,
    sentence_windows,
)

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
    with pytest.raises(ConfigurationError, match="expected both or neither"):
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
