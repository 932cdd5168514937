"""Accounts: what is counted, and in ≠ kept + removed + lost is an error."""

import pyarrow as pa
import pytest

from lm.errors import IntegrityError
from pipelines.documents.accounts import Counts
from pipelines.documents.schema import DOCUMENT_SCHEMA, LOSS_SCHEMA, REMOVAL_SCHEMA, Verdict, judged


def documents(*texts):
    rows = [
        {name: 1 if name == "warc_offset" else text if name == "text" else name for name in DOCUMENT_SCHEMA.names}
        for text in texts
    ]
    return pa.RecordBatch.from_pylist(rows, DOCUMENT_SCHEMA)


def test_a_judging_stage_counts_by_rule_and_by_bytes():
    counts, batch = Counts(), documents("one", "zwölf", "three")
    counts.judge(batch, judged(batch, [None, Verdict(rule="short"), Verdict(rule="long")]))
    counts.judge(batch, judged(batch, [None, Verdict(rule="short"), None]))
    summary = counts.summary("s")
    assert (summary["num_in"], summary["num_kept"], summary["num_removed"], summary["num_lost"]) == (6, 3, 3, 0)
    assert summary["removed_by_rule"] == {"long": 1, "short": 2}
    assert (summary["text_bytes_in"], summary["text_bytes_kept"]) == (2 * (3 + 6 + 5), 3 + 3 + 5)


def test_a_stage_that_counts_by_itself_must_be_exact():
    counts = Counts(num_in=4)
    counts.keep(documents("a", "b"))
    removal = dict.fromkeys(REMOVAL_SCHEMA.names) | {"doc_id": "d", "url": "u", "stage": "s", "rule": "r"}
    counts.remove(pa.RecordBatch.from_pylist([removal], REMOVAL_SCHEMA))
    with pytest.raises(IntegrityError, match="stage 's': 4 documents in, but 2 kept, 1 removed and 0 lost"):
        counts.summary("s")
    loss = {"warc_path": "w", "offset": 1, "reason": "digest", "detail": "x"}
    counts.lose(pa.RecordBatch.from_pylist([loss], LOSS_SCHEMA))
    assert counts.summary("s")["lost_by_reason"] == {"digest": 1}
