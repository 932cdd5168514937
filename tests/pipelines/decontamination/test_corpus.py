"""Decontamination: against a plain search, on planted leaks, at its edges, and on GSM8K's real test part."""

import gzip
import json
import pickle
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm import storage
from lm.errors import ConfigurationError, InputError, IntegrityError
from pipelines.decontamination import kernels
from pipelines.decontamination.corpus import (
    MATCHES,
    NUM_CUT,
    DecontaminationConfig,
    Decontaminator,
    cut_pieces,
    decontaminate_corpus,
)
from pipelines.decontamination.index import EvaluationIndex, load_index, normalized_words
from pipelines.decontamination.items import ITEMS, EvaluationSet, Item, publish_evaluation_items, read_items
from pipelines.dedup.normalization import normalize
from pipelines.documents.schema import DOCUMENT_SCHEMA
from pipelines.documents.tables import DOCUMENTS, REMOVALS

QUESTION = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Natalia sell altogether in April and May?"
)
SHORT = "Name the seven hills on which old Rome stood."
WORDS = [f"word{number}" for number in range(40)]


def items(*texts):
    return [Item(set="test", item=str(place), field="question", text=text) for place, text in enumerate(texts)]


def index_of(*texts, ngram=13, min_item_words=8):
    return EvaluationIndex(items(*texts), ngram=ngram, min_item_words=min_item_words)


def prose(num_words, seed=0):
    """Words that no item holds."""
    return " ".join(random.Random(seed).choice(WORDS) for _ in range(num_words))


def documents(*texts):
    rows = [
        {
            "doc_id": f"00000000-0000-0000-0000-{place:012d}", "url": f"https://example.org/{place}", "crawl": "c",
            "warc_path": "w", "warc_offset": place, "fetched_at": "2026-01-01T00:00:00Z", "text": text,
        }
        for place, text in enumerate(texts)
    ]  # fmt: skip
    return pa.RecordBatch.from_pylist(rows, schema=DOCUMENT_SCHEMA)


@pytest.fixture
def published(tmp_path):
    """A function that publishes items and gives the stage over them."""

    def publish(*texts, **config):
        path = tmp_path / "set.jsonl"
        path.write_text("".join(json.dumps({"id": f"q{i}", "question": text}) + "\n" for i, text in enumerate(texts)))
        artifact = publish_evaluation_items([EvaluationSet(name="exam", path=str(path))], tmp_path / "items")
        return Decontaminator(
            items_path=str(artifact.file(ITEMS)),
            items_sha256=artifact.files[ITEMS].sha256,
            config=DecontaminationConfig(**config),
        )

    return publish


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


def test_a_cut_takes_the_passage_and_its_margins_and_keeps_the_rest(published):
    before, after = prose(120), prose(120, 1)
    kept, removed = published(QUESTION)(documents(f"{before} {QUESTION} {after}", before))
    assert removed.num_rows == 0
    assert kept.column(NUM_CUT).to_pylist() == [1, 0]
    cut, untouched = kept.column("text").to_pylist()
    assert untouched == before
    left, right = cut.split("\n\n")
    assert before.startswith(left) and after.endswith(right)
    for whole, piece in ((before, left), (after, right)):
        assert 200 <= len(whole) - len(piece) <= 200 + 64
        assert set(piece.split()) <= set(WORDS)


def test_a_document_is_removed_where_too_little_stays_or_it_falls_apart(published):
    stage = published(QUESTION)
    little = f"{prose(30)} {QUESTION} {prose(30)}"
    many = " ".join(f"{prose(120, seed)} {QUESTION}" for seed in range(12))
    kept, removed = stage(documents(little, many))
    assert kept.num_rows == 0
    assert removed.column("rule").to_pylist() == ["piece_length", "pieces"]
    assert removed.column("value").to_pylist()[1] == 12


def test_pieces_that_say_together_what_neither_said_do_not_stay(published):
    """The cut joins two halves of another item."""
    halves = QUESTION.split()
    text = f"{prose(60)} {' '.join(halves[:15])} {SHORT} {' '.join(halves[15:])} {prose(60)}"
    stage = published(QUESTION, SHORT, ngram=20, margin_characters=0, min_piece_characters=0)
    assert [overlap.item.item for overlap in stage.index.overlaps(text)] == ["q1"]
    kept, removed = stage(documents(text))
    assert kept.num_rows == 0 and removed.column("rule").to_pylist() == ["shares_exam"]


def test_remove_takes_the_document(published):
    stage = published(QUESTION, action="remove")
    kept, removed = stage(documents(f"{prose(200)} {QUESTION} {prose(200)}", prose(50)))
    assert kept.num_rows == 1
    (row,) = removed.to_pylist()
    assert (row["rule"], row["value"], row["threshold"]) == ("shares_exam", len(QUESTION.split()), 13)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab \n", max_size=80), st.lists(st.integers(0, 80), max_size=6), st.integers(0, 10))
def test_pieces_are_parts_of_the_text_outside_every_cut(text, borders, margin):
    borders = sorted(min(each, len(text)) for each in borders)
    spans = list(zip(borders[::2], borders[1::2], strict=False))
    place = 0
    for piece in cut_pieces(text, spans, margin):
        place = text.index(piece, place) + len(piece)
    if not spans:
        assert "".join(cut_pieces(text, [], margin)) == text.strip()


def test_batch_borders_and_another_process_change_nothing(published):
    stage = pickle.loads(pickle.dumps(published(QUESTION)))
    batch = documents(*(f"{prose(150, seed)} {QUESTION if seed % 3 == 0 else ''} {prose(150)}" for seed in range(9)))
    whole = stage(batch)[0].column("text").to_pylist()
    assert whole == [text for row in range(9) for text in stage(batch.slice(row, 1))[0].column("text").to_pylist()]


def test_another_items_file_is_refused(published):
    stage = published(QUESTION)
    with Path(stage.items_path).open("a") as stream:
        stream.write("\n")
    load_index.cache_clear()
    with pytest.raises(IntegrityError, match="expected"):
        stage(documents("x"))


@pytest.fixture
def corpus(tmp_path):
    """A published corpus: one page quotes a question, one is nothing but it, two are clean."""

    def publish(*texts):
        with storage.publish(tmp_path / "corpus", kind="documents", config={}, inputs={}, code="") as publication:
            table = pa.Table.from_batches([documents(*texts)])
            pq.write_table(table, publication.path / DOCUMENTS)
        return publication.artifact

    return publish


def test_accounts_report_and_bytes(corpus, published, tmp_path):
    texts = (f"{prose(150)} {QUESTION} {prose(150)}", QUESTION, prose(80), "")
    published(QUESTION, SHORT, "7 + 5?")
    made = storage.open_artifact(tmp_path / "items")
    found = decontaminate_corpus(corpus(*texts), made, tmp_path / "out")
    counts = found.summary
    assert (counts["num_in"], counts["num_kept"], counts["num_removed"], counts["num_cut"]) == (4, 3, 1, 1)
    assert counts["evaluation_sets"] == {"exam": {"num_items": 3, "num_sought": 2, "num_found": 1}}
    rows = pq.read_table(found.file(MATCHES)).to_pylist()
    assert [(row["item"], row["field"], row["outcome"]) for row in rows] == [
        ("q0", "question", "cut"), ("q0", "question", "removed")
    ]  # fmt: skip
    for row in rows:
        text = texts[int(row["doc_id"][-12:])]
        assert text[row["start"] : row["end"]].rstrip("?") == QUESTION.rstrip("?")
    assert pq.read_metadata(found.file(REMOVALS)).num_rows == 1
    assert decontaminate_corpus(corpus(*texts), made, tmp_path / "again").digest == found.digest


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


@pytest.mark.parametrize(
    ("content", "fields", "message"),
    [
        (None, (), "no such file"),
        ('{"question": "x"}\nnope\n', (), "set.jsonl:2: not JSON"),
        ("[1]\n", (), "set.jsonl:1: a list, expected an object"),
        ('{"question": 3}\n', ("question",), "set.jsonl:1: no text in field 'question'; found a int"),
        ('{"prompt": "x"}\n', ("question",), "set.jsonl:1: no text in field 'question'; found prompt"),
        ("", (), "no row, expected the evaluation set 'exam'"),
    ],
)
def test_a_bad_set_is_named(tmp_path, content, fields, message):
    path = tmp_path / "set.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as error:
        publish_evaluation_items([EvaluationSet(name="exam", path=str(path), fields=fields)], tmp_path / "items")
    assert message in str(error.value)


def test_split_choices_and_names(tmp_path):
    path = tmp_path / "set.jsonl"
    rows = [{"id": "a", "split": "train", "q": "x"}, {"id": "b", "split": "heldout", "q": "y", "choices": ["1", "2"]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen = EvaluationSet(name="exam", path=str(path), split="heldout")
    found = read_items(publish_evaluation_items([chosen], tmp_path / "items").file(ITEMS))
    assert [(item.item, item.field, item.text) for item in found] == [("b", "q", "y"), ("b", "choices", "1\n2")]
    with pytest.raises(InputError, match="no row whose split is 'dev'"):
        publish_evaluation_items([EvaluationSet(name="exam", path=str(path), split="dev")], tmp_path / "items")
    with pytest.raises(ConfigurationError, match="2 sets are named 'exam'"):
        publish_evaluation_items([chosen, chosen], tmp_path / "items")
    with pytest.raises(ConfigurationError, match="max_pieces: 0, expected at least 1"):
        DecontaminationConfig(max_pieces=0)
