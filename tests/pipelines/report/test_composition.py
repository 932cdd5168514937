"""The composition of the corpus: crawled and added documents apart, and every language from step to step."""

import json
from collections import Counter
from types import SimpleNamespace

import pytest

from lm.storage import open_artifact
from pipelines.decontamination.corpus import decontaminate_corpus
from pipelines.documents.view import read_table
from pipelines.report.composition import composition, unjudged_steps
from pipelines.report.curation import MARKDOWN, PAGE, steps_of, write_curation_report
from pipelines.sources.added_documents import DocumentSource, publish_added_documents

NUM_ADDED = 50


@pytest.fixture(scope="module")
def steps(curated_demo):
    return steps_of(curated_demo[0] / "home")


@pytest.fixture(scope="module")
def with_added(curated_demo, steps, tmp_path_factory):
    """The steps, with fifty added documents in the corpus."""
    folder = tmp_path_factory.mktemp("added")
    path = folder / "books.jsonl"
    path.write_text(
        "".join(json.dumps({"text": f"The book {n} about birds of the north."}) + "\n" for n in range(NUM_ADDED))
    )
    added = publish_added_documents([DocumentSource(name="books", path=str(path))], folder / "added")
    items = open_artifact(curated_demo[0] / "home" / "artifacts" / "evaluation_items")
    corpus = decontaminate_corpus(steps["dedup"][0], items, folder / "corpus", added=added)
    return {**steps, "decontaminate": [corpus]}


def test_added_documents_do_not_raise_the_share_of_the_crawl(steps, with_added):
    alone, joined = composition(steps), composition(with_added)
    assert (joined.added_in, joined.added_kept) == (NUM_ADDED, NUM_ADDED)
    assert (alone.added_in, alone.added_kept) == (0, 0)
    assert joined.crawled_kept == alone.crawled_kept == steps["decontaminate"][0].summary["num_kept"]
    assert joined.crawled_share == alone.crawled_share == alone.crawled_kept / alone.records < 1
    assert dict(joined.kept_by_source) == {"demo": alone.crawled_kept, "books": NUM_ADDED}


def test_languages_are_counted_at_each_step(steps):
    found = composition(steps).languages
    came = Counter(name for each in steps["language"] for name in read_table(each, ["language"]).column(0).to_pylist())
    assert {name: counts["heuristics"] for name, counts in found.items() if counts["heuristics"]} == dict(came)
    kept = sum(counts["kept"] for counts in found.values())
    assert kept == steps["decontaminate"][0].summary["num_kept"]


def test_the_report_says_what_joined_and_by_language(with_added, tmp_path):
    report = write_curation_report(with_added, tmp_path / "report")
    whole = composition(with_added)
    text, page = report.file(MARKDOWN).read_text(), report.file(PAGE).read_text()
    share = f"{whole.crawled_share:.1%}"
    said = (
        f"Kept: {whole.crawled_kept:,} crawled documents ({share} of the records read) and {NUM_ADDED} added documents."
    )
    assert said in text
    assert whole.sentence in text and whole.sentence in page
    assert f"<b>{share}</b><span>share of records kept" in page and f"<b>{NUM_ADDED}</b><span>documents added" in page
    assert "| language | heuristics |" in text and '<section id="languages">' in page
    assert report.summary["num_crawled"] + report.summary["num_added"] == report.summary["num_kept"]
    assert "Not scored" not in text


def test_unjudged_steps_are_named(steps, tmp_path):
    unjudged = SimpleNamespace(config={"stage": "harmful", "settings": {"judge": "none"}})
    assert unjudged_steps(steps) == []
    assert unjudged_steps({**steps, "harmful": [steps["harmful"][0], unjudged]}) == ["harmful"]


def test_a_part_of_the_steps_has_no_composition(steps):
    assert composition({"extract": steps["extract"]}) is None
