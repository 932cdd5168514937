"""Stages over partitions: exact accounts, and nothing published where a stage or the disk fails."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lm import storage
from lm.errors import IntegrityError, NoSpaceError
from pipelines.documents.schema import Judgement, Stage, Verdict, judged
from pipelines.documents.tables import REMOVALS, VERDICTS
from pipelines.documents.view import read_schema, read_table
from pipelines.filters.run import run_stage, run_stage_partitions
from tests.pipelines.published import publish_documents, rows_of


@dataclass(frozen=True, kw_only=True)
class LengthFilter(Stage):
    threshold: int = 5
    model_path: str = "somewhere"

    name: ClassVar[str] = "length"

    def judge(self, batch):
        lengths = [len(text) for text in batch.column("text").to_pylist()]
        verdicts = [
            None if n >= self.threshold else Verdict(rule="short", value=n, threshold=self.threshold) for n in lengths
        ]
        return judged(batch, verdicts, {"length": pa.array(lengths, pa.int32())})


@dataclass(frozen=True, kw_only=True)
class Swallower(Stage):
    name: ClassVar[str] = "swallower"

    def judge(self, batch):
        return Judgement(batch.slice(1), [None] * (batch.num_rows - 1))


def test_a_stage_leaves_exact_accounts(tmp_path):
    source = publish_documents(tmp_path / "in", ["longer text", "ab", "über", "enough"])
    made = run_stage(LengthFilter(), source, tmp_path / "out")
    assert made.summary == {
        "stage": "length",
        "sources": [{"path": "../in", "digest": source.digest}],
        "num_in": 4,
        "num_kept": 2,
        "num_removed": 2,
        "num_lost": 0,
        "text_bytes_in": len("longer text") + 2 + 5 + len("enough"),
        "text_bytes_kept": len("longer text") + len("enough"),
        "removed_by_rule": {"short": 2},
        "lost_by_reason": {},
    }
    kept = read_table(made)
    removed = rows_of(made, REMOVALS)
    assert kept.column("text").to_pylist() == ["longer text", "enough"]
    assert kept.column("length").to_pylist() == [11, 6]
    assert [(row["rule"], row["value"], row["threshold"]) for row in removed] == [
        ("short", 2.0, 5.0),
        ("short", 4.0, 5.0),
    ]


def test_a_stage_that_swallows_documents_publishes_nothing(tmp_path):
    source = publish_documents(tmp_path / "in", ["one", "two"])
    with pytest.raises(IntegrityError, match="2 documents in, but 1 judged by 1 verdicts"):
        run_stage(Swallower(), source, tmp_path / "out")
    assert not (tmp_path / "out" / storage.MANIFEST).exists()


def test_no_documents_still_give_the_columns(tmp_path):
    made = run_stage(LengthFilter(), publish_documents(tmp_path / "in", []), tmp_path / "out")
    assert made.summary["num_in"] == 0
    assert "length" in read_schema(made).names


def test_the_path_of_a_model_is_no_part_of_the_work(tmp_path):
    source = publish_documents(tmp_path / "in", ["longer text"])
    first = run_stage(LengthFilter(model_path="here"), source, tmp_path / "out")
    assert run_stage(LengthFilter(model_path="there"), source, tmp_path / "out") == first
    assert run_stage(LengthFilter(threshold=6), source, tmp_path / "out") != first


def test_every_stage_over_every_partition(tmp_path):
    sources = {f"t/g000{i}": publish_documents(tmp_path / f"in{i}", ["longer text", "ab" * i]) for i in range(3)}
    here = run_stage_partitions(LengthFilter(), sources, {key: tmp_path / "1" / key for key in sources})
    there = run_stage_partitions(LengthFilter(), sources, {key: tmp_path / "2" / key for key in sources}, num_workers=2)
    assert list(here) == list(there) == list(sources)
    assert [each.digest for each in here.values()] == [each.digest for each in there.values()]


def test_row_groups_hold_many_batches(tmp_path):
    source = publish_documents(tmp_path / "in", [f"longer text {i}" for i in range(2000)])
    made = run_stage(LengthFilter(), source, tmp_path / "out")
    assert pq.read_metadata(made.file(VERDICTS)).num_row_groups == 1


@dataclass(frozen=True, kw_only=True)
class FullDisk(Stage):
    """A stage during which the disk fills: a file with no more room takes the place of the documents."""

    name: ClassVar[str] = "full"

    def judge(self, batch):
        if batch.num_rows:
            with Path("/dev/full").open("wb", buffering=0) as device:
                device.write(b"x")
        return judged(batch, [None] * batch.num_rows)


@pytest.mark.fault(18)
def test_a_full_disk_leaves_nothing(tmp_path):
    source = publish_documents(tmp_path / "in", ["one"])
    with pytest.raises(NoSpaceError, match="no space left on device"):
        run_stage(FullDisk(), source, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]
