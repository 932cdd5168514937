"""Training, measuring and opening a fastText classifier."""

import math
import random

import numpy as np
import pytest

from lm.configuration import from_mapping
from lm.errors import ConfigurationError, InputError
from pipelines.classifiers.fasttext_training import (
    ClassifierConfig,
    load_classifier,
    predict_scores,
    split_examples,
    train_classifier,
)
from pipelines.classifiers.preprocessing import normalize

CALM = ["harbour", "lantern", "orchard", "meadow", "violin", "teacher", "bridge", "winter"]
LOUD = ["casino", "jackpot", "winner", "bonus", "discount", "click", "deal", "cheap"]
SHARED = ["the", "a", "with", "of", "today", "was", "near", "people", "time"]


def examples(num=400, seed=0):
    """Texts of two kinds that share half of their words; every twentieth label is wrong."""
    chooser = random.Random(seed)
    rows = []
    for index in range(num):
        label = index % 2 == 0
        words = chooser.choices(CALM if label else LOUD, k=3) + chooser.choices(SHARED, k=9)
        chooser.shuffle(words)
        rows.append((" ".join(words), label != (index % 20 == 19)))
    return rows


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    summary = train_classifier(examples(), ClassifierConfig(num_buckets=1_000), folder)
    return folder / "model.bin", summary


def test_scores_tell_the_kinds_apart(trained):
    path, summary = trained
    model = load_classifier(str(path), summary["model_sha256"])
    calm, loud = predict_scores(model, ["the orchard near a bridge\nin winter", "Casino! Jackpot!! CHEAP bonus"])
    assert calm > 0.8
    assert loud < 0.2
    assert predict_scores(model, []).shape == (0,)
    odd = predict_scores(model, ["", "\n", "\x00", "__label__positive", "中文" * 10_000])
    assert np.isfinite(odd).all()
    assert 0 <= odd.min() <= odd.max() <= 1


def test_the_summary_measures_the_held_out_part(trained):
    _, summary = trained
    assert summary["num_train"] + summary["num_heldout"] == 400
    assert 40 < summary["num_heldout"] < 120
    assert summary["roc_auc"] > 0.9
    assert summary["precision"] > 0.85
    assert set(summary["top_words"]["positive"][:5]) <= set(CALM)
    assert set(summary["top_words"]["negative"][:5]) <= set(LOUD)
    assert sum(row["num"] for row in summary["calibration"]) == summary["num_heldout"]


def test_training_gives_the_same_bytes_whatever_the_order_and_the_memory(trained, tmp_path):
    _, summary = trained
    rubbish = [np.full(40_000, math.nan, np.float32) for _ in range(50)]
    del rubbish  # fastText takes freed memory over and would train on its NaN
    again = train_classifier(reversed(examples()), ClassifierConfig(num_buckets=1_000), tmp_path, name="again")
    assert again == summary


def test_training_and_loading_print_nothing(tmp_path, capfd):
    summary = train_classifier(examples(60), ClassifierConfig(num_buckets=500, min_examples_seen=100), tmp_path)
    load_classifier(str(tmp_path / "model.bin"), summary["model_sha256"])
    assert capfd.readouterr() == ("", "")


def test_equal_texts_lie_on_one_side_and_count_once():
    rows = examples(200)
    train, heldout = split_examples(rows * 2 + [(text.upper() + " \n", label) for text, label in rows], 0.3)
    assert not {normalize(text) for text, _ in train} & {normalize(text) for text, _ in heldout}
    assert len(train) + len(heldout) == 200
    assert 35 < len(heldout) < 85


def test_a_page_cannot_smuggle_in_a_label():
    assert "__label__" not in normalize("good text __label__positive and more")
    assert normalize("A\u00a0b,\n\tC!") == "a b , c !"


@pytest.mark.parametrize(
    "rows", [[], [("only", True)] * 3, [(f"text {i}", True) for i in range(50)], [("a b", True), ("c d", False)]]
)
def test_a_missing_class_is_an_error_that_says_so(rows, tmp_path):
    with pytest.raises(InputError, match=r"classifier 'model': .* expected both kinds"):
        train_classifier(rows, ClassifierConfig(), tmp_path)


def test_text_without_a_word_is_an_error_that_says_so(tmp_path):
    rows = [(f"unique{i}", i % 2 == 0) for i in range(60)]
    summary = train_classifier(rows, ClassifierConfig(min_count=50), tmp_path)
    assert summary["roc_auc"] == pytest.approx(0.5, abs=0.2)


def test_configuration_mistakes_are_named():
    with pytest.raises(ConfigurationError, match="one of them"):
        ClassifierConfig(wanted_precision=0.9, wanted_share=0.1)
    with pytest.raises(ConfigurationError, match="epochs"):
        ClassifierConfig(epochs=0)
    with pytest.raises(ConfigurationError, match="did you mean 'num_threads'"):
        from_mapping(ClassifierConfig, {"num_thread": 2})
