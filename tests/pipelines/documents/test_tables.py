"""Tables as files: the same bytes for the same rows, row groups by count and by bytes, whole text counts."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lm.storage import publish
from pipelines.documents import tables
from pipelines.documents.schema import DOCUMENT_SCHEMA
from pipelines.documents.tables import (
    DOCUMENTS,
    REMOVALS,
    TableWriter,
    in_row_groups,
    read_rows,
    stored_schema,
    tables_in_memory,
    text_bytes,
)
from tests.pipelines.published import publish_documents

SCHEMA = pa.schema([("doc_id", pa.string()), ("text", pa.large_string())])


def rows(count, size=3):
    return pa.RecordBatch.from_pydict({"doc_id": [str(i) for i in range(count)], "text": ["é" * size] * count}, SCHEMA)


def written(path, batches):
    with TableWriter(path, SCHEMA) as writer:
        for batch in batches:
            writer.write(batch)
    return writer.num_rows


def test_the_bytes_do_not_depend_on_the_batches(tmp_path):
    table = rows(1000)
    assert written(tmp_path / "a", [table]) == 1000
    written(tmp_path / "b", [table.slice(0, 0), *(table.slice(start, 7) for start in range(0, 1000, 7))])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(("most_rows", "most_bytes", "expected"), [(100, 2**30, [100, 100, 50]), (10**6, 400, None)])
def test_row_groups_end_by_rows_or_by_bytes(tmp_path, monkeypatch, most_rows, most_bytes, expected):
    monkeypatch.setattr(tables, "_ROWS_PER_GROUP", most_rows)
    monkeypatch.setattr(tables, "_BYTES_PER_GROUP", most_bytes)
    batches = [rows(10) for _ in range(25)]
    written(tmp_path / "a", batches)
    metadata = pq.read_metadata(tmp_path / "a")
    sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert sizes == [table.num_rows for table in in_row_groups(batches)]
    assert sum(sizes) == 250
    assert sizes == expected if expected else all(size < 50 for size in sizes)


def test_a_table_that_fails_on_its_way_ends_without_the_rest(tmp_path):
    with pytest.raises(ValueError, match="stop"), TableWriter(tmp_path / "a", SCHEMA) as writer:
        writer.write(rows(5))
        raise ValueError("stop")
    assert pq.read_metadata(tmp_path / "a").num_rows == 0


def test_no_batch_decides_how_a_file_is_typed():
    batch = pa.schema([pa.field("text", pa.string()), pa.field("score", pa.float32(), nullable=False)])
    assert stored_schema(batch) == pa.schema([DOCUMENT_SCHEMA.field("text"), pa.field("score", pa.float32())])


def test_bytes_of_texts_are_those_of_utf_8():
    batch = pa.RecordBatch.from_pydict({"text": ["é", "ab", "", "中"]})
    assert text_bytes(batch) == 2 + 2 + 3
    assert text_bytes(batch, pa.array([True, False, True, False])) == 2
    assert text_bytes(batch.slice(0, 0)) == 0


@pytest.mark.parametrize(("max_bytes", "num_opened"), [(2**20, 1), (0, 3)])
def test_a_table_in_memory_is_decoded_once_if_it_is_small_enough(tmp_path, monkeypatch, max_bytes, num_opened):
    documents = publish_documents(tmp_path / "documents", ["one", "two", "three"])
    wanted = [None, ["text", "doc_id"], []]
    expected = [list(read_rows(documents, DOCUMENTS, columns)) for columns in wanted]
    opened, open_file = [], pq.ParquetFile
    monkeypatch.setattr(pq, "ParquetFile", lambda path: opened.append(path) or open_file(path))
    with tables_in_memory(max_bytes):
        assert [list(read_rows(documents, DOCUMENTS, columns)) for columns in wanted] == expected
    assert len(opened) == num_opened
    list(read_rows(documents, DOCUMENTS))
    assert len(opened) == num_opened + 1


def test_tables_that_two_threads_decoded_stay_within_the_bytes_together():
    batch = pa.RecordBatch.from_pydict({"text": ["one", "two"]})
    with tables_in_memory(batch.nbytes * 3 // 2):
        inside = tables._held.get()
        for name in ("first", "second", "first"):
            inside.keep(Path(name), [batch])
        assert list(inside.tables) == [Path("first")]
        assert inside.num_bytes_left == batch.nbytes * 3 // 2 - batch.nbytes


def test_memory_is_counted_in_decoded_bytes(tmp_path):
    """A column of a dictionary takes a few bits a row in the file, and its whole text a row in memory."""
    table = pa.table({"doc_id": [f"{number:032x}" for number in range(2_000)], "reason": ["long reason " * 8] * 2_000})
    with (
        publish(tmp_path / "many", kind="documents", config={}, inputs={}, code="") as publication,
        TableWriter(publication.path / REMOVALS, table.schema) as writer,
    ):
        for batch in table.to_batches(512):
            writer.write(batch)
    artifact = publication.artifact
    in_file = pq.read_metadata(artifact.file(REMOVALS)).row_group(0).total_byte_size
    decoded = sum(batch.nbytes for batch in read_rows(artifact, REMOVALS))
    assert decoded > 2 * in_file
    for max_bytes, held in ((decoded - 1, False), (decoded, True)):
        with tables_in_memory(max_bytes):
            assert pa.Table.from_batches(read_rows(artifact, REMOVALS)) == table
            inside = tables._held.get()
            assert bool(inside.tables) is held
            assert 0 <= inside.num_bytes_left <= max_bytes
