"""The ground truth of texts: spans, similarities, languages, and prose that heuristics keep."""

import re
from collections import Counter, defaultdict

import pytest

from pipelines.demo_crawl.body import sentences
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.duplicates import near_duplicate
from pipelines.demo_crawl.entities import world_of
from pipelines.demo_crawl.overlap import jaccard, shingles
from pipelines.demo_crawl.truth import TRUTH_SCHEMA
from pipelines.demo_crawl.worlds.articles import article
from pipelines.demo_crawl.worlds.lessons import lesson
from pipelines.demo_crawl.worlds.stories import story
from pipelines.documents.schema import is_doc_id

GOOD = ("lesson", "article", "story", "how_to")


def test_rows_are_unique_and_well_formed(demo_crawl):
    rows = demo_crawl.rows
    assert demo_crawl.truth.schema.equals(TRUTH_SCHEMA)
    assert len({row["url"] for row in rows}) == len({row["doc_id"] for row in rows}) == len(rows)
    assert all(is_doc_id(row["doc_id"]) for row in rows)
    assert len({row["url"].split("/")[2] for row in rows}) >= 15


def test_personal_data_stands_where_the_truth_says(demo_crawl):
    kinds = Counter()
    for row in demo_crawl.rows:
        for datum in row["pii"]:
            assert row["body_text"][datum["start"] : datum["end"]] == datum["text"]
            kinds[datum["kind"]] += 1
    assert kinds.keys() == {"email", "phone", "ip", "address"}


def test_clusters_have_one_original_and_true_similarities(demo_crawl):
    clusters = defaultdict(list)
    for row in demo_crawl.rows:
        if row["duplicate_cluster"]:
            clusters[row["duplicate_cluster"]].append(row)
    for members in clusters.values():
        (original,) = (row for row in members if row["duplicate_kind"] is None)
        assert original["jaccard"] == 1 and len(members) > 1
        for row in members:
            again = _jaccard_by_hand(row["body_text"], original["body_text"])
            assert row["jaccard"] == pytest.approx(again)
            assert (row["body_text"] == original["body_text"]) == (row["duplicate_kind"] != "near")


def _jaccard_by_hand(first, second):
    def runs(text):
        found = re.findall(r"[^\W_]+", text.lower())
        return {" ".join(found[start : start + 5]) for start in range(len(found) - 4)}

    return len(runs(first) & runs(second)) / len(runs(first) | runs(second))


def test_near_duplicates_spread_over_the_range():
    world = world_of(0)
    found = []
    for number in range(200):
        original = (article, lesson, story)[number % 3](world, Dice("original", number))
        copy, similarity = near_duplicate(original, Dice("copy", number))
        assert similarity == jaccard(shingles(original.text), shingles(copy.text))
        found.append(similarity)
    assert 0.4 < min(found) < 0.6 and 0.92 < max(found) < 1
    assert all(any(low <= value < low + 0.1 for value in found) for low in (0.5, 0.6, 0.7, 0.8, 0.88))


def test_good_pages_would_pass_gophers_rules(demo_crawl):
    for row in demo_crawl.rows:
        if row["world"] not in GOOD:
            continue
        found = row["body_text"].split()
        assert 100 <= len(found) <= 800, row["url"]
        assert 3 <= sum(map(len, found)) / len(found) <= 10
        assert sum(any(map(str.isalpha, word)) for word in found) / len(found) >= 0.8
        assert len({"the", "be", "to", "of", "and", "that", "have", "with"} & {word.lower() for word in found}) >= 2


def test_junk_does_not(demo_crawl):
    def ended(row):
        lines = row["body_text"].split("\n")
        return sum(line.endswith((".", "!", "?")) for line in lines) / len(lines)

    spam = [row for row in demo_crawl.rows if row["world"] == "spam"]
    assert sum(ended(row) < 0.5 for row in spam) > 0.8 * len(spam)


def share_on_two_pages(rows, worlds):
    """The share of sentences of more than six words that are on several pages, copies left out; and their number."""
    pages_of = defaultdict(set)
    for row in rows:
        if row["world"] in worlds and not row["duplicate_kind"]:
            said = (sentence for line in row["body_text"].split("\n")[1:] for sentence in sentences(line))
            for sentence in said:
                if len(sentence.split()) > 6:
                    pages_of[sentence].add(row["url"])
    on_pages = [len(pages) for pages in pages_of.values()]
    return sum(number for number in on_pages if number > 1) / sum(on_pages), sum(on_pages)


def test_sentences_do_not_repeat(demo_crawl):
    share, number = share_on_two_pages(demo_crawl.rows, ("article", "story", "how_to"))
    assert number > 3000 and share < 0.02
    share, number = share_on_two_pages(demo_crawl.rows, ("lesson",))
    assert number > 3000 and share < 0.25


def test_words_are_many(demo_crawl):
    vocabulary = {word for row in demo_crawl.rows for word in re.findall(r"[^\W\d_]+", row["body_text"].lower())}
    assert len(vocabulary) > 4000  # of 600 pages


def test_facts_of_an_entity_agree_between_pages():
    """Whatever page tells it, a town was founded by the same person in the same year."""
    world = world_of(0)
    told = defaultdict(set)
    for number in range(600):
        for name, year in re.findall(r"(\w+) was founded in (\d{4})", article(world, Dice("fact", number)).text):
            told[name].add(year)
    assert len(told) > 10 and all(len(years) == 1 for years in told.values())


def test_languages_are_what_they_claim(demo_crawl):
    langid = pytest.importorskip("py3langid.langid")
    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    for row in demo_crawl.rows:
        if row["world"] in (*GOOD, "de", "fr", "es", "it"):
            language, score = identifier.classify(row["body_text"])
            assert language == row["language"] and score > 0.9, row["url"]


def test_labels_are_of_other_texts_than_the_crawl(demo_crawl):
    bodies = {row["body_text"] for row in demo_crawl.rows}
    harmful, quality = demo_crawl.json_lines("harmful_labels.jsonl"), demo_crawl.json_lines("quality_labels.jsonl")
    assert len(harmful) == len(quality) == 200
    assert not bodies & {label["text"] for label in (*harmful, *quality)}
    assert 60 < sum(label["high_quality"] for label in quality) < 140
    assert 20 < sum(label["toxic"] for label in harmful) < 90 and 20 < sum(label["adult"] for label in harmful) < 90
