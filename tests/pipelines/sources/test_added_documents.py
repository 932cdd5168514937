"""Added documents: from JSON Lines and Parquet, accounted for, traceable; mistakes named by file and line."""

import gzip
import json
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lm.errors import ConfigurationError, InputError
from pipelines.decontamination.corpus import NUM_CUT, decontaminate_corpus
from pipelines.decontamination.items import EvaluationSet, publish_evaluation_items
from pipelines.documents.schema import is_doc_id
from pipelines.documents.tables import DOCUMENTS, REMOVALS
from pipelines.sources.added_documents import DocumentSource, publish_added_documents
from pipelines.tokens.mixture import MixtureConfig, make_mixture
from pipelines.tokens.shards import TokenizerConfig, train_corpus_tokenizer, write_token_shards
from tests.pipelines.published import rows_of

QUESTION = "How many of the nineteen grey geese that left the pond on Monday came back again before Friday evening?"


@pytest.fixture
def folder(tmp_path):
    """Three files of two kinds."""
    path = tmp_path / "books"
    path.mkdir()
    rows = [{"key": "a", "text": "First.", "at": "https://b.org/1"}, {"key": "b", "text": " ", "at": "https://b.org/2"}]
    (path / "one.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with gzip.open(path / "two.jsonl.gz", "wt") as stream:
        stream.write(json.dumps({"key": 3, "text": "Third \u00e9."}) + "\n")
    pq.write_table(pa.table({"key": ["d"], "text": ["Fourth."], "other": [1]}), path / "z.parquet")
    (path / "notes.txt").write_text("not read")
    return path


def documents(artifact):
    return rows_of(artifact, DOCUMENTS)


def test_every_row_is_a_document_or_a_removal(folder, tmp_path):
    made = publish_added_documents([DocumentSource(name="books", path=str(folder))], tmp_path / "out")
    assert [row["text"] for row in documents(made)] == ["First.", "Third é.", "Fourth."]
    assert [row["rule"] for row in rows_of(made, REMOVALS)] == ["empty"]
    assert made.summary["documents_by_source"] == {"books": 3}
    assert (made.summary["num_in"], made.summary["num_kept"], made.summary["num_removed"]) == (4, 3, 1)
    first = documents(made)[0]
    assert (first["crawl"], first["warc_path"], first["warc_offset"]) == ("books", "one.jsonl", 1)
    assert first["url"] == "books:one.jsonl#1" and all(is_doc_id(row["doc_id"]) for row in documents(made))


def test_ids_follow_the_documents_own_wherever_they_lie(folder, tmp_path):
    source = DocumentSource(name="books", path=str(folder), id_field="key")
    made = publish_added_documents([source], tmp_path / "out")
    (folder / "one.jsonl").rename(folder / "zz.jsonl")
    again = publish_added_documents([source], tmp_path / "again")
    assert {row["doc_id"] for row in documents(made)} == {row["doc_id"] for row in documents(again)}
    assert len({row["doc_id"] for row in documents(made)}) == 3
    assert uuid.UUID(documents(made)[0]["doc_id"]).version == 5


def test_nothing_configured_is_an_empty_table(tmp_path):
    made = publish_added_documents([], tmp_path / "out")
    assert documents(made) == [] and made.summary["num_in"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": "nowhere"}, "nowhere: no such file"),
        ({"path": "books/notes.txt"}, "notes.txt: expected a file that ends in .jsonl"),
        ({"path": "empty"}, "empty: holds no files"),
        ({"text_field": "body"}, "one.jsonl:1: no text in field 'body'; found key, text, at"),
        ({"text_field": "key", "path": "books/two.jsonl.gz"}, "two.jsonl.gz:1: no text in field 'key'; found a int"),
        ({"url_field": "at"}, "two.jsonl.gz:1: no field 'at'; found key, text"),
        ({"path": "books/z.parquet", "id_field": "no"}, "z.parquet: no column 'no'; found key, text, other"),
        ({"path": "bad.parquet"}, "bad.parquet: not a Parquet file"),
        ({"path": "twice.jsonl", "id_field": "key"}, "twice.jsonl:2: duplicate id 'a' in source 'books'"),
    ],
)
def test_mistakes_are_named(folder, tmp_path, changes, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.parquet").write_text("x")
    (tmp_path / "twice.jsonl").write_text('{"key": "a", "text": "x"}\n' * 2)
    values = {"path": "books", **changes}
    source = DocumentSource(name="books", **{**values, "path": str(tmp_path / values["path"])})
    with pytest.raises(InputError) as error:
        publish_added_documents([source], tmp_path / "out")
    assert message in str(error.value)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_names_are_checked(folder, tmp_path):
    with pytest.raises(ConfigurationError, match=r"sources\.name: '\.\./x'"):
        DocumentSource(name="../x", path="y")
    source = DocumentSource(name="books", path=str(folder))
    with pytest.raises(ConfigurationError, match="2 are named 'books'"):
        publish_added_documents([source, source], tmp_path / "out")


def test_they_join_the_crawl_up_to_the_mixture(curated_demo, tmp_path):
    """Searched for evaluation items, tokenized under their own source, weighed by the mixture."""
    _, made = curated_demo
    (crawl,) = made["unique_documents"].values()
    words = " ".join(f"heron{number}" for number in range(400))
    (tmp_path / "birds.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in (words, f"{words} {QUESTION} {words}"))
    )
    (tmp_path / "exam.jsonl").write_text(json.dumps({"id": "q", "question": QUESTION}) + "\n")
    added = publish_added_documents([DocumentSource(name="birds", path=str(tmp_path / "birds.jsonl"))], tmp_path / "a")
    items = publish_evaluation_items([EvaluationSet(name="exam", path=str(tmp_path / "exam.jsonl"))], tmp_path / "i")
    corpus = decontaminate_corpus(crawl, items, tmp_path / "corpus", added=added)
    assert corpus.summary["num_in"] == corpus.summary["num_kept"] == crawl.summary["num_kept"] + 2
    birds = [row for row in documents(corpus) if row["crawl"] == "birds"]
    assert [row[NUM_CUT] for row in birds] == [0, 1] and birds[0]["quality_score"] is None
    tokenizer = train_corpus_tokenizer(corpus, tmp_path / "tokenizer", TokenizerConfig(vocab_size=400))
    shards = write_token_shards(corpus, tokenizer, tmp_path / "shards")
    mixture = make_mixture(shards, tmp_path / "m", MixtureConfig(weights={"birds": 1, "demo": 3}))
    assert mixture.summary["weights"]["birds"] == pytest.approx(0.25, abs=1e-4)
