"""The quality classifier from files of pages: both sides through one extraction and the same filters."""

import json
import random
from collections import Counter

import numpy as np
import pytest

from lm.errors import ConfigurationError, InputError
from pipelines.classifiers.fasttext_training import ClassifierConfig
from pipelines.documents.view import read_documents
from pipelines.filters.heuristics import HeuristicFilter
from pipelines.filters.language import LanguageFilter, identify_language
from pipelines.filters.quality import keep_thresholds
from pipelines.filters.reference_pages import LabelledPages, PageFilters, labelled_pages
from pipelines.filters.repetition import THRESHOLDS, RepetitionFilter
from pipelines.filters.run import run_stage
from pipelines.filters.trained import QualityConfig, make_quality_classifier_of_pages, measurements, quality_stage
from pipelines.report.step_facts import stage_facts
from tests.pipelines import warc_making as making
from tests.pipelines.filters.test_heuristics import batch, prose
from tests.pipelines.published import publish_documents

LENIENT = PageFilters(repetition=RepetitionFilter(overrides=dict.fromkeys(THRESHOLDS)))
CONFIG = ClassifierConfig(min_examples_seen=2_000, num_buckets=1_000)


def good(seed):
    return prose(80, seed)


def bad(seed):
    return prose(80, seed).replace("garden", "casino").replace("window", "discount").replace("quiet", "cheap")


def json_lines(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


def warc(path, texts):
    pages = (f"<html><body><article><p>{text}</p></article></body></html>".encode() for text in texts)
    records = [making.record(making.response(page), number=number) for number, page in enumerate(pages)]
    return str(making.write(path, *making.members(records)).path)


def test_pages_of_both_kinds_of_file_train_a_classifier_that_keeps_the_wanted_share(tmp_path):
    pages = LabelledPages(
        reference=(
            warc(tmp_path / "a.warc.gz", map(good, range(60))),
            json_lines(tmp_path / "b.jsonl", map(good, range(60, 200))),
        ),
        crawl=(json_lines(tmp_path / "c.jsonl", map(bad, range(200, 400))),),
        filters=LENIENT,
    )
    config = ClassifierConfig(min_examples_seen=2_000, num_buckets=1_000, wanted_negative_share=0.1)
    artifact = make_quality_classifier_of_pages(pages, tmp_path / "made", config)
    found = measurements(artifact)["quality"]
    assert found["roc_auc"] > 0.95
    assert 0.05 < found["false_positive_rate"] < 0.2
    assert artifact.summary["reference_pages"] == artifact.summary["reference_pages_taken"] == 200
    kept, _ = quality_stage(QualityConfig(), artifact)(batch(good(1_000), bad(1_001)))
    assert kept.column("doc_id").to_pylist() == ["0"]


def test_both_sides_pass_the_same_filters_and_are_counted(tmp_path):
    french = "Le gardien du phare descendait chaque matin au port pour regarder les bateaux arrivés. " * 8
    reference = json_lines(tmp_path / "one.jsonl", [good(1), french, "short"])
    crawl = json_lines(tmp_path / "two.jsonl", [good(1), good(2), french, "short"])
    examples, counts = labelled_pages(LabelledPages(reference=(reference,), crawl=(crawl,), filters=LENIENT))
    assert examples == [(good(1), True), (good(2), False)]  # what both sides hold is a reference page
    for side, number in (("reference", 3), ("crawl", 4)):
        assert counts[f"{side}_pages"] == number
        assert counts[f"{side}_removed_by_language"] == 2  # "short" is not a language for certain
        assert counts[f"{side}_pages_taken"] == 1


def test_a_larger_side_is_sampled_whatever_the_order_of_files(tmp_path):
    first, second = (
        json_lines(tmp_path / "1.jsonl", map(good, range(20))),
        json_lines(tmp_path / "2.jsonl", map(good, range(20, 40))),
    )
    crawl = (json_lines(tmp_path / "3.jsonl", map(bad, range(5))),)
    forward = labelled_pages(LabelledPages(reference=(first, second), crawl=crawl, filters=LENIENT, max_pages=10))
    backward = labelled_pages(LabelledPages(reference=(second, first), crawl=crawl, filters=LENIENT, max_pages=10))
    assert forward == backward
    assert sum(label for _, label in forward[0]) == 10


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ConfigurationError, match="no crawl pages, expected files of reference and of crawl pages"):
        LabelledPages(reference=("a.jsonl",), crawl=())
    short = json_lines(tmp_path / "short.jsonl", ["too short"])
    with pytest.raises(InputError, match="none of 1 reference pages passes the filters"):
        labelled_pages(LabelledPages(reference=(short,), crawl=(short,)))
    missing = LabelledPages(
        reference=("nowhere.warc.gz",), crawl=(short,), filters=PageFilters(heuristics=HeuristicFilter())
    )
    with pytest.raises(InputError, match=r"nowhere\.warc\.gz: no such file"):
        make_quality_classifier_of_pages(missing, tmp_path / "made", CONFIG)


GERMAN_GOOD = "Der Leuchtturm steht seit hundert Jahren am Hafen und weist den Schiffen nachts den Weg nach Hause. "
GERMAN_BAD = (
    "Jetzt billig kaufen und sparen, nur heute mit Rabatt und ohne Versand, hier gleich zugreifen und bestellen. "
)


def german(text, seed):
    """Some of the words of `text` in another order, so that pages differ and stay German."""
    words = text.split()
    return " ".join(random.Random(seed).choices(words, k=30) + words * 3)


def test_no_language_is_a_sign_of_quality_and_one_without_reference_pages_is_not_judged(tmp_path):
    italian = "Il guardiano del faro scende ogni mattina al porto per guardare le barche e parlare con gli amici. "
    pages = LabelledPages(
        reference=(
            json_lines(tmp_path / "a.jsonl", map(good, range(90))),
            json_lines(tmp_path / "b.jsonl", (german(GERMAN_GOOD, seed) for seed in range(90))),
        ),
        crawl=(
            json_lines(tmp_path / "c.jsonl", map(bad, range(100, 140))),
            json_lines(tmp_path / "d.jsonl", (german(GERMAN_BAD, seed) for seed in range(200))),
            json_lines(tmp_path / "e.jsonl", (german(italian, seed) for seed in range(50))),
        ),
        filters=PageFilters(
            language=LanguageFilter(languages=("en", "de", "it")),
            heuristics=HeuristicFilter(overrides={"stop_words": None}),
            repetition=LENIENT.repetition,
        ),
    )
    examples, counts = labelled_pages(pages)
    taken = Counter((identify_language(text)[0], label) for text, label in examples)
    assert set(taken) == {("en", True), ("en", False), ("de", True), ("de", False)}
    ratios = [taken[language, True] / taken[language, False] for language in ("en", "de")]
    assert ratios[0] == pytest.approx(ratios[1], rel=0.1)
    assert counts["crawl_pages_left_out_for_their_language"] >= 50
    artifact = make_quality_classifier_of_pages(pages, tmp_path / "made", CONFIG)
    assert artifact.summary["quality_languages"] == ["de", "en"]
    texts = [
        *map(good, range(900, 910)),
        *map(bad, range(910, 920)),
        *(german(GERMAN_GOOD, s) for s in range(910, 920)),
    ]
    texts += [*(german(GERMAN_BAD, s) for s in range(900, 910)), *(german(italian, s) for s in range(900, 910))]
    documents = publish_documents(tmp_path / "documents", texts)
    judged_documents = run_stage(LanguageFilter(languages=("en", "de", "it")), documents, tmp_path / "language")
    stage = quality_stage(QualityConfig(keep_share=0.5), artifact, judged_documents)
    made = run_stage(stage, judged_documents, tmp_path / "quality")
    (languages,) = [stage_facts([made], [judged_documents]).languages]
    assert {row.language: (row.num_in, row.kept_share) for row in languages} == {
        "de": (20, 0.5), "en": (20, 0.5), "it": (10, 1.0)
    }  # fmt: skip
    kept = {row["text"]: row["quality_score"] for batch in read_documents(made) for row in batch.to_pylist()}
    assert set(texts[:10] + texts[20:30]) < set(kept)  # the good half of each
    assert all(kept[text] is None for text in texts[40:])


def test_the_keep_rate_holds_where_the_threshold_of_f1_would_keep_nothing(tmp_path):
    """Reference pages of one kind: the classifier tells them from the whole crawl."""
    pages = LabelledPages(
        reference=(json_lines(tmp_path / "a.jsonl", map(good, range(100))),),
        crawl=(json_lines(tmp_path / "b.jsonl", map(bad, range(100, 200))),),
        filters=LENIENT,
    )
    artifact = make_quality_classifier_of_pages(pages, tmp_path / "made", CONFIG)
    documents = publish_documents(tmp_path / "documents", list(map(bad, range(1_000, 1_200))))
    for config, least, most in ((QualityConfig(keep_share=None), 0, 0.02), (QualityConfig(keep_share=0.3), 0.3, 0.31)):
        made = run_stage(quality_stage(config, artifact, documents), documents, tmp_path / str(config.keep_share))
        assert least <= made.summary["num_kept"] / 200 <= most
    assert not keep_thresholds(np.zeros(5), ["en"] * 5, 0.2)[0] > 0
