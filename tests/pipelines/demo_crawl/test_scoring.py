"""Scores of pipelines that are perfect, blind, or wrong in a known way."""

import pyarrow as pa
import pytest

from pipelines.demo_crawl import scoring


def documents(rows, **columns):
    return pa.table({"doc_id": [row["doc_id"] for row in rows], **columns})


def row(doc_id, text="", **fields):
    return {
        "doc_id": doc_id,
        "body_text": text,
        "language": "en",
        "quality": "high",
        "harmful": [],
        "pii": [],
        "damage": "none",
        "duplicate_cluster": None,
        **fields,
    }


def table(*rows):
    return pa.Table.from_pylist(list(rows))


def test_extraction_of_the_truth_is_perfect(demo_crawl):
    perfect = documents(demo_crawl.rows, text=[each["body_text"] for each in demo_crawl.rows])
    scores = scoring.score_extraction(demo_crawl.truth, perfect)
    assert (scores["precision"], scores["recall"], scores["f1"]) == (1, 1, 1)


def test_extraction_counts_runs_of_four():
    truth = table(row("a", "one two three four five"))  # two runs
    scores = scoring.score_extraction(
        truth, documents([row("a")], text=["menu one two three four"])
    )  # two, one of them right
    assert (scores["precision"], scores["recall"], scores["f1"]) == (0.5, 0.5, 0.5)


def test_removals():
    truth = table(row("a", harmful=["toxic"]), row("b", harmful=["adult"]), row("c"), row("d", quality="low"))
    scores = scoring.score_removed(truth, ["a", "c"], ["b", "d"], scoring.is_harmful)
    assert (scores["precision"], scores["recall"], scores["num_bad"]) == (0.5, 0.5, 2)
    assert scoring.score_removed(truth, ["d"], ["a", "b", "c"], scoring.is_low_quality)["f1"] == 1
    assert scoring.score_removed(truth, [], ["a"], scoring.is_foreign)["precision"] == 1


def test_masks():
    data = [
        {"kind": "email", "text": "a@example.com"},
        {"kind": "phone", "text": "212-555-0101"},
        {"kind": "address", "text": "1 Mill Road"},
    ]
    truth = table(row("a", pii=data))
    masked = documents([row("a")], text=["|||EMAIL_ADDRESS||| 212-555-0101 1 Mill Road |||PHONE_NUMBER|||"])
    scores = scoring.score_pii(truth, masked, kinds=("email", "phone", "ip"))
    assert scores["num_data"] == 2 and scores["recall"] == 0.5 and scores["num_false_masks"] == 1
    assert scores["recall_by_kind"] == {"email": 1, "phone": 0, "ip": 1}


def test_the_masker_room_masks_the_data(demo_crawl):
    pii = pytest.importorskip("pipelines.filters.pii")
    masked = [pii.mask_all(each["body_text"])[0] for each in demo_crawl.rows]
    scores = scoring.score_pii(demo_crawl.truth, documents(demo_crawl.rows, text=masked))
    assert scores["num_data"] > 50 and scores["recall"] == 1 and scores["num_false_masks"] == 0


def test_records():
    truth = table(
        row("a"), row("b", damage="bad_gzip"), row("c", damage="wrong_charset"), row("d", damage="bad_digest")
    )
    scores = scoring.score_records(truth, ["a", "d"])
    assert scores == {"num_records": 4, "num_damaged": 2, "num_lost": 2, "num_wrongly_lost": 1, "num_wrongly_kept": 1}


def words(start, stop):
    return " ".join(f"w{number}" for number in range(start, stop))


def test_duplicates():
    """Of three alike pages one is found; a page is removed for another that it has nothing in common with."""
    same = {"duplicate_cluster": "c"}
    truth = table(
        row("a", words(0, 50), **same),
        row("b", words(0, 50), **same),
        row("c", words(0, 49), **same),
        row("d", words(100, 150)),
        row("e", words(20, 70), duplicate_cluster="c"),  # too different to count
    )
    scores = scoring.score_duplicates(truth, ["a", "c", "e"], {"b": "a", "d": "a"})
    assert (scores["num_true_pairs"], scores["num_predicted_pairs"]) == (3, 2)
    assert scores["precision"] == 0.5 and scores["recall"] == pytest.approx(1 / 3)
    assert scoring.score_duplicates(truth, ["a"], {"e": "a"})["precision"] == 1  # an edited copy is one all the same


def test_duplicates_joined_through_others():
    same = {"duplicate_cluster": "c"}
    truth = table(*(row(doc_id, words(0, 50), **same) for doc_id in "abc"))
    scores = scoring.score_duplicates(truth, ["a"], {"c": "b", "b": "a"})
    assert scores["precision"] == scores["recall"] == 1 and scores["num_true_pairs"] == 3


def test_a_document_that_the_truth_does_not_know_is_an_error():
    with pytest.raises(KeyError):
        scoring.score_extraction(table(row("a")), documents([row("z")], text=["?"]))
