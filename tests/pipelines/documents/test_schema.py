"""Document ids by their form, and judgements split into documents and removals."""

import pyarrow as pa
import pytest

from pipelines.documents.schema import DOCUMENT_SCHEMA, REMOVAL_SCHEMA, Verdict, is_doc_id, judged
from tests.pipelines.published import doc_id


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (doc_id(7), True),
        ("2aabeff2-67f5-4608-8466-e87c6296e2b6", True),
        ("2AABEFF2-67f5-4608-8466-e87c6296e2b6", False),
        ("<urn:uuid:2aabeff2-67f5-4608-8466-e87c6296e2b6>", False),
        ("2aabeff2-67f5-4608-8466-e87c6296e2b6\n", False),
        ("../../2aabeff2-67f5-4608-8466-e87c6296e2b6", False),
        ("2aabeff2-67f5-4608-8466-e87c6296e2bg", False),
        ("", False),
    ],
)
def test_ids_by_their_form(text, is_one):
    assert is_doc_id(text) is is_one


def test_a_judgement_divides_its_documents():
    rows = [
        {name: 1 if name == "warc_offset" else f"{name}{number}" for name in DOCUMENT_SCHEMA.names}
        for number in range(4)
    ]
    batch = pa.RecordBatch.from_pylist(rows, DOCUMENT_SCHEMA)
    verdicts = [None, Verdict(rule="short", value=3, threshold=5), None, Verdict(rule="copy", duplicate_of="doc_id0")]
    judgement = judged(batch, verdicts, {"length": pa.array([9, 3, 8, 9], pa.int32())})
    assert judgement.kept.to_pylist() == [True, False, True, False]
    kept, removed = judgement.split("length")
    assert kept.column("doc_id").to_pylist() == ["doc_id0", "doc_id2"]
    assert kept.column("length").to_pylist() == [9, 8]
    assert removed.schema == REMOVAL_SCHEMA
    assert [
        (row["doc_id"], row["url"], row["stage"], row["rule"], row["value"], row["threshold"], row["duplicate_of"])
        for row in removed.to_pylist()
    ] == [
        ("doc_id1", "url1", "length", "short", 3.0, 5.0, None),
        ("doc_id3", "url3", "length", "copy", None, None, "doc_id0"),
    ]
