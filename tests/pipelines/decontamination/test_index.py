"""The search of documents for evaluation items: against a plain search, at its edges, and on GSM8K's real test part."""

import gzip
import json

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.decontamination import kernels
from pipelines.decontamination.index import EvaluationIndex, normalized_words
from pipelines.decontamination.items import ITEMS, EvaluationSet, publish_evaluation_items, read_items
from pipelines.dedup.normalization import normalize
from tests.pipelines.decontamination.exam import QUESTION, SHORT, WORDS, index_of, prose


def plainly_shared(text, texts, ngram, min_item_words):
    """The same search in plain Python: the first words of all shared n-grams, with their lengths."""
    words = normalize(text).split()
    shared = set()
    for item in (normalize(each).split() for each in texts):
        length = ngram if len(item) >= ngram else len(item)
        if length < min_item_words and len(item) < ngram:
            continue
        grams = {tuple(item[start : start + length]) for start in range(len(item) - length + 1)}
        shared |= {
            (start, length) for start in range(len(words) - length + 1) if tuple(words[start : start + length]) in grams
        }
    return shared


texts = st.lists(st.sampled_from(["a", "B", "á", "c,", "—", "d\n", "ß", "İ", "1+1"]), max_size=30).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(texts, st.lists(texts, max_size=5), st.integers(1, 5), st.integers(1, 4))
def test_the_search_finds_what_a_plain_one_finds(text, items_texts, ngram, min_item_words):
    index = index_of(*items_texts, ngram=ngram, min_item_words=min_item_words)
    shared = plainly_shared(text, items_texts, ngram, min_item_words)
    overlaps = index.overlaps(text)
    words, starts, ends = normalized_words(text)
    covered = {place for start, length in shared for place in range(start, start + length)}
    found = {
        place
        for overlap in overlaps
        for place in range(len(words))
        if overlap.start <= starts[place] and ends[place] <= overlap.end
    }
    assert found == covered
    assert bool(overlaps) == bool(shared)
    if shared:
        assert index.suspects(pa.array([text]))[0]


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_words_are_those_of_the_shared_normalisation(text):
    words, starts, ends = normalized_words(text)
    assert words == normalize(text).split()
    for word, start, end in zip(words, starts, ends, strict=True):
        assert normalize(text[start:end]) == word


def test_case_accents_and_punctuation_hide_nothing():
    index = index_of(QUESTION)
    disguised = QUESTION.upper().replace(",", " —").replace("NATALIA", "Natália").replace(" ", "\n  ")
    (overlap,) = index.overlaps(f"{prose(50)} {disguised} {prose(50, 1)}")
    assert overlap.num_words == len(QUESTION.split())
    assert overlap.ngram == " ".join(normalize(QUESTION).split()[:13])


def test_twelve_words_in_a_row_are_not_shared_and_thirteen_are():
    words = QUESTION.split()
    index = index_of(QUESTION)
    assert index.overlaps(" ".join([*WORDS[:5], *words[3:15], *WORDS])) == []
    assert len(index.overlaps(" ".join([*WORDS[:5], *words[3:16], *WORDS]))) == 1


def test_short_items_are_sought_whole_and_very_short_ones_not_at_all():
    index = index_of(SHORT, "What is 7 + 5?")
    assert [index.is_sought(0), index.is_sought(1)] == [True, False]
    assert index.overlaps(f"We ask: {SHORT} What is 7 + 5? {prose(5)}")[0].num_words == 9
    assert index.overlaps("Name the seven hills on which old Rome fell.") == []


def test_a_collision_of_hashes_is_settled_by_the_words(monkeypatch):
    """Every n-gram gets one hash: everything is suspected, and only what is equal is found."""

    def same(words, length):
        return np.full(max(0, words.size - length + 1), 5, np.uint64)

    monkeypatch.setattr(kernels, "ngram_hashes", same)
    index = index_of(QUESTION, SHORT)
    assert index.overlaps(prose(100)) == []
    assert [overlap.item.item for overlap in index.overlaps(f"{prose(20)} {QUESTION} {prose(20)}")] == ["0"]


def test_the_item_that_shares_most_is_named_and_all_are_counted():
    first, second = " ".join(WORDS[:14]), " ".join(WORDS[:20])
    (overlap,) = index_of(first, second).overlaps(f"x y z {' '.join(WORDS[:20])} x y z")
    assert (overlap.item.item, len(overlap.items), overlap.num_words) == ("1", 2, 20)


def test_gsm8k_is_found_where_it_is_and_nowhere_else(shared_data, tmp_path):
    """Every test question, hidden in prose, is found; in genuine prose none is."""
    path = shared_data("gsm8k/test.jsonl")
    made = publish_evaluation_items([EvaluationSet(name="gsm8k", path=str(path))], tmp_path / "items")
    assert made.summary["sets"] == {"gsm8k": {"num_items": 1319, "num_texts": 2638}}
    questions = [json.loads(line)["question"] for line in path.read_text().splitlines()]
    index = EvaluationIndex(read_items(made.file(ITEMS)), ngram=13, min_item_words=8)
    hidden = [f"{prose(40, 1)}\n{question.lower()}\n{prose(40, 2)}" for question in questions]
    assert index.suspects(pa.array(hidden)).all()
    for place in range(0, len(questions), 40):
        assert any(overlap.item.item == str(place + 1) for overlap in index.overlaps(hidden[place]))
    with gzip.open(shared_data("prose/public_domain.jsonl.gz"), "rt") as lines:
        prose_texts = [json.loads(line)["text"] for line in lines]
    assert not index.suspects(pa.array(prose_texts)).any()
