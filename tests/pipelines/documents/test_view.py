"""Composed documents: what the stages of a chain leave, against lists of plain rows."""

import shutil
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lm.errors import IntegrityError
from pipelines.documents import tables
from pipelines.documents.schema import DOCUMENT_SCHEMA, Stage, Verdict, judged
from pipelines.documents.tables import DOCUMENTS, REMOVALS, TEXTS, VERDICTS
from pipelines.documents.view import (
    added_columns,
    chain,
    count_documents,
    count_removals,
    find_verdict,
    read_documents,
    read_removals,
    read_schema,
    read_table,
    sources,
)
from pipelines.filters.run import run_stage
from tests.pipelines.published import doc_id, publish_documents, rows_of


@dataclass(frozen=True, kw_only=True)
class Marker(Stage):
    """Removes the texts that hold `unwanted`, appends `suffix` to those that hold `marked`, and adds a column."""

    column: str
    unwanted: str
    marked: str
    suffix: str

    name: ClassVar[str] = "marker"

    def judge(self, batch):
        texts = batch.column("text").to_pylist()
        verdicts = [Verdict(rule="unwanted", value=len(text)) if self.unwanted in text else None for text in texts]
        changed = [text + self.suffix if self.marked in text else text for text in texts]
        lengths = pa.array([len(text) for text in texts], pa.int32())
        return judged(batch, verdicts, {self.column: lengths, "text": pa.array(changed, pa.large_string())})


def expected(rows, stage):
    """What `stage` keeps of plain rows, and the ids of the others."""
    kept = [row for row in rows if stage.unwanted not in row["text"]]
    after = [
        {
            **row,
            stage.column: len(row["text"]),
            "text": row["text"] + stage.suffix if stage.marked in row["text"] else row["text"],
        }
        for row in kept
    ]
    return after, [row["doc_id"] for row in rows if stage.unwanted in row["text"]]


letters = st.text("abcd", max_size=4)
stages = st.builds(
    Marker,
    column=st.just("length"),
    unwanted=st.sampled_from(["aa", "bc", "dd", "z"]),
    marked=st.sampled_from(["a", "cb", "z"]),
    suffix=st.sampled_from(["bc", "dd", "", "é"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(letters, max_size=20), made_by=st.lists(stages, min_size=1, max_size=4), rows=st.integers(1, 7))
def test_a_chain_of_stages_leaves_what_plain_rows_leave(tmp_path, monkeypatch, texts, made_by, rows):
    monkeypatch.setattr(tables, "_BATCH_ROWS", rows)
    shutil.rmtree(tmp_path, ignore_errors=True)
    artifact = publish_documents(tmp_path / "0", texts)
    plain = rows_of(artifact)
    for number, stage in enumerate(made_by):
        stage = Marker(column=f"c{number}", unwanted=stage.unwanted, marked=stage.marked, suffix=stage.suffix)
        before, artifact = artifact, run_stage(stage, artifact, tmp_path / str(number + 1))
        plain, gone = expected(plain, stage)
        assert added_columns(artifact) == [f"c{number}"] and sources(artifact) == [before]
        assert [row["doc_id"] for row in rows_of(artifact, REMOVALS)] == gone
        assert count_documents(artifact) == len(plain) and count_removals(artifact) == len(gone)
        assert rows_of(artifact) == plain
    assert len(chain(artifact)) == len(made_by) + 1
    for columns in (["text"], ["c0", "url"], ["doc_id", "text", "c0"]):
        found = [row for batch in read_documents(artifact, columns) for row in batch.to_pylist()]
        assert found == [{name: row[name] for name in columns} for row in plain]
    assert read_table(artifact).schema.names == [*DOCUMENT_SCHEMA.names, *(f"c{i}" for i in range(len(made_by)))]


@pytest.fixture
def judged_documents(tmp_path):
    source = publish_documents(tmp_path / "in", ["one", "two bad", "three"])
    stage = Marker(column="length", unwanted="bad", marked="three", suffix="!")
    return source, run_stage(stage, source, tmp_path / "out")


def test_a_judged_artifact_holds_no_text_but_what_changed(judged_documents):
    _, made = judged_documents
    assert made.names() == [TEXTS, VERDICTS]
    assert rows_of(made, TEXTS) == [{"row": 2, "doc_id": doc_id(2), "text": "three!"}]
    assert [row["kept"] for row in rows_of(made, VERDICTS)] == [True, False, True]


def test_removals_name_the_page_and_the_rule(judged_documents):
    _, made = judged_documents
    (row,) = read_removals(made).to_pylist()
    assert (row["url"], row["stage"], row["rule"], row["value"]) == ("https://example.org/1", "marker", "unwanted", 7.0)


def test_verdicts_of_one_document_need_no_source(judged_documents):
    source, made = judged_documents
    shutil.rmtree(source.path)
    assert find_verdict(made, doc_id(2))["text"] == "three!" and find_verdict(made, doc_id(2))["kept"]
    assert find_verdict(made, doc_id(1))["rule"] == "unwanted"
    assert find_verdict(made, doc_id(7)) is None


def test_a_source_made_anew_makes_its_verdicts_stale(judged_documents, tmp_path):
    _, made = judged_documents
    assert read_schema(made).names[-1] == "length"
    publish_documents(tmp_path / "in", ["one", "two", "three"])
    with pytest.raises(IntegrityError, match="out: stale, since its source has changed; materialize it again"):
        rows_of(made)


def test_a_source_made_anew_to_the_same_bytes_changes_nothing(judged_documents, tmp_path):
    _, made = judged_documents
    publish_documents(tmp_path / "in", ["one", "two bad", "three"])
    assert [row["text"] for row in rows_of(made, DOCUMENTS)] == ["one", "three!"]


def test_the_place_of_a_source_does_not_depend_on_the_folder(tmp_path):
    made = []
    for place in ("a", "b/c"):
        source = publish_documents(tmp_path / place / "in", ["one"])
        stage = Marker(column="length", unwanted="bad", marked="z", suffix="")
        made.append(run_stage(stage, source, tmp_path / place / "out"))
    assert made[0].digest == made[1].digest
