"""The benchmark of alignment at a small size: every row has its figure, and nothing is lost."""

import pytest

pytest.importorskip("transformers")

from benchmarks import alignment


def test_every_row_is_measured(shared_data):
    shared = shared_data("gsm8k/train.jsonl").parents[1]
    rows = {row.name: row for row in alignment.rows(shared, toy=True)}
    assert all(row.value is not None for row in rows.values())
    shares = [row.value for name, row in rows.items() if name.startswith("share of a GRPO step")]
    assert len(shares) == 3 and sum(shares) == pytest.approx(1.0) and min(shares) > 0
    lost = [row for name, row in rows.items() if "lost" in name]
    assert [row.value for row in lost] == [0, 0] and not any(row.missed for row in lost)


def test_without_the_data_its_rows_are_not_measured(tmp_path):
    rows = list(alignment._data_rows(tmp_path, toy=True))
    assert [row.value for row in rows] == [None, None]
