"""Decontamination: cuts and removals on planted leaks, accounts and bytes."""

import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm import storage
from lm.errors import IntegrityError
from pipelines.decontamination.corpus import (
    MATCHES,
    NUM_CUT,
    cut_pieces,
    decontaminate_corpus,
)
from pipelines.decontamination.index import load_index
from pipelines.documents.tables import DOCUMENTS, REMOVALS
from tests.pipelines.decontamination.exam import QUESTION, SHORT, WORDS, documents, prose


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
