"""The quality classifier from files of pages: both sides through one extraction and the same filters."""

import json

import pytest

from lm.errors import ConfigurationError, InputError
from pipelines.classifiers.fasttext_training import ClassifierConfig
from pipelines.filters.heuristics import HeuristicFilter
from pipelines.filters.reference_pages import LabelledPages, PageFilters, labelled_pages
from pipelines.filters.repetition import THRESHOLDS, RepetitionFilter
from pipelines.filters.trained import QualityConfig, make_quality_classifier_of_pages, measurements, quality_stage
from tests.pipelines import warc_making as making
from tests.pipelines.filters.test_heuristics import batch, prose

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
    files = {side: json_lines(tmp_path / f"{side}.jsonl", [good(1), french, "short"]) for side in ("one", "two")}
    pages = LabelledPages(reference=(files["one"],), crawl=(files["two"],), filters=LENIENT)
    examples, counts = labelled_pages(pages)
    assert examples == [(good(1), True)]  # what both sides hold is a reference page
    for side in ("reference", "crawl"):
        assert counts[f"{side}_pages"] == 3
        assert counts[f"{side}_removed_by_language"] == 2  # "short" is no language for certain
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
    with pytest.raises(ConfigurationError, match="no crawl pages, expected files of both sides"):
        LabelledPages(reference=("a.jsonl",), crawl=())
    short = json_lines(tmp_path / "short.jsonl", ["too short"])
    with pytest.raises(InputError, match="none of 1 reference pages passes the filters"):
        labelled_pages(LabelledPages(reference=(short,), crawl=(short,)))
    missing = LabelledPages(
        reference=("nowhere.warc.gz",), crawl=(short,), filters=PageFilters(heuristics=HeuristicFilter())
    )
    with pytest.raises(InputError, match=r"nowhere\.warc\.gz: no such file"):
        make_quality_classifier_of_pages(missing, tmp_path / "made", CONFIG)
