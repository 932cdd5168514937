"""Tables of verdicts: a stage that loses, doubles or rewrites what it may not is refused."""

import pyarrow as pa
import pytest

from lm.errors import IntegrityError
from pipelines.documents.schema import DOCUMENT_SCHEMA, Judgement, Verdict, judged
from pipelines.documents.verdicts import VerdictWriter

ROW = dict.fromkeys(DOCUMENT_SCHEMA.names, "x") | {"warc_offset": 0}
BATCH = pa.RecordBatch.from_pylist([{**ROW, "doc_id": str(i), "text": f"text {i}"} for i in range(3)], DOCUMENT_SCHEMA)


def write(folder, judgement):
    with VerdictWriter(folder, DOCUMENT_SCHEMA, judgement.documents.schema) as writer:
        writer.write(BATCH, judgement)


def test_documents_lost_doubled_or_reordered_are_refused(tmp_path):
    for wrong in (BATCH.slice(1), pa.concat_batches([BATCH, BATCH.slice(2)])):
        with pytest.raises(IntegrityError, match="3 documents in, but"):
            write(tmp_path, Judgement(wrong, [None] * wrong.num_rows))
    with pytest.raises(IntegrityError, match="by 2 verdicts"):
        write(tmp_path, Judgement(BATCH, [None, None]))
    with pytest.raises(IntegrityError, match="column 'doc_id': a stage may replace only the text"):
        write(tmp_path, Judgement(BATCH.take(pa.array([2, 1, 0])), [None] * 3))


def test_a_stage_adds_no_column_that_every_table_has(tmp_path):
    with pytest.raises(IntegrityError, match="a stage adds the column 'rule'"):
        write(tmp_path, judged(BATCH, [None] * 3, {"rule": pa.array(["a", "b", "c"])}))


def test_the_text_of_a_removed_document_is_not_written(tmp_path):
    texts = pa.array(["new 0", "new 1", "text 2"], pa.large_string())
    write(tmp_path, judged(BATCH, [None, Verdict(rule="r"), None], {"text": texts}))
    changed = pa.parquet.read_table(tmp_path / "texts.parquet").to_pylist()
    assert changed == [{"row": 0, "doc_id": "0", "text": "new 0"}]


def test_columns_left_out_or_sometimes_added_are_refused(tmp_path):
    with pytest.raises(IntegrityError, match=r"omitted the columns \['url'\]"):
        write(tmp_path, Judgement(BATCH.drop_columns(["url"]), [None] * 3))
    more = judged(BATCH, [None] * 3, {"score": pa.array([1.0, 2.0, 3.0])})
    with (
        pytest.raises(IntegrityError, match=r"unexpected columns \['score'\]"),
        VerdictWriter(tmp_path, DOCUMENT_SCHEMA, DOCUMENT_SCHEMA) as writer,
    ):
        writer.write(BATCH, more)
