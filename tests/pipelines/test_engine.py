"""The engine: stages over partitions, exact accounts, workers that die."""

import os
import signal
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lm import storage
from lm.errors import IntegrityError, PartialError
from pipelines import engine
from pipelines.document import DOCUMENT_SCHEMA, Verdict, split_batch


@dataclass(frozen=True, kw_only=True)
class LengthFilter:
    threshold: int = 5
    model_path: str = "somewhere"

    name: ClassVar[str] = "length"

    def __call__(self, batch):
        lengths = [len(text) for text in batch.column("text").to_pylist()]
        verdicts = [
            None if n >= self.threshold else Verdict(rule="short", value=n, threshold=self.threshold) for n in lengths
        ]
        return split_batch(batch, self.name, verdicts, {"length": pa.array(lengths, pa.int32())})


@dataclass(frozen=True, kw_only=True)
class Swallower:
    name: ClassVar[str] = "swallower"

    def __call__(self, batch):
        kept, removed = split_batch(batch, self.name, [None] * batch.num_rows)
        return kept.slice(1), removed


def publish_documents(target, texts):
    rows = [
        {
            "doc_id": f"00000000-0000-4000-8000-{i:012d}",
            "url": f"https://example.org/{i}",
            "crawl": "test",
            "warc_path": "a.warc.gz",
            "warc_offset": i,
            "fetched_at": "2024-01-01T00:00:00Z",
            "text": text,
        }
        for i, text in enumerate(texts)
    ]
    with storage.publish(target, kind="documents", config={}, inputs={}, code="") as publication:
        pq.write_table(pa.Table.from_pylist(rows, schema=DOCUMENT_SCHEMA), publication.path / engine.DOCUMENTS)
    return publication.artifact


def test_a_stage_leaves_exact_accounts(tmp_path):
    source = publish_documents(tmp_path / "in", ["longer text", "ab", "über", "enough"])
    judged = engine.run_stage(LengthFilter(), source, tmp_path / "out")
    assert judged.summary == {
        "stage": "length",
        "num_in": 4,
        "num_kept": 2,
        "num_removed": 2,
        "num_lost": 0,
        "text_bytes": len("longer text") + len("enough"),
        "removed_by_rule": {"short": 2},
        "lost_by_reason": {},
    }
    kept = pq.read_table(judged.file(engine.DOCUMENTS))
    removed = pq.read_table(judged.file(engine.REMOVALS)).to_pylist()
    assert kept.column("text").to_pylist() == ["longer text", "enough"]
    assert kept.column("length").to_pylist() == [11, 6]
    assert [(row["rule"], row["value"], row["threshold"]) for row in removed] == [
        ("short", 2.0, 5.0),
        ("short", 4.0, 5.0),
    ]


def test_a_stage_that_swallows_documents_publishes_nothing(tmp_path):
    source = publish_documents(tmp_path / "in", ["one", "two"])
    with pytest.raises(IntegrityError, match="stage 'swallower': 2 documents in, but 1 kept, 0 removed and 0 lost"):
        engine.run_stage(Swallower(), source, tmp_path / "out")
    assert not (tmp_path / "out" / storage.MANIFEST).exists()


def test_no_documents_still_give_the_columns(tmp_path):
    judged = engine.run_stage(LengthFilter(), publish_documents(tmp_path / "in", []), tmp_path / "out")
    assert judged.summary["num_in"] == 0
    assert "length" in pq.read_schema(judged.file(engine.DOCUMENTS)).names


def test_the_path_of_a_model_is_no_part_of_the_work(tmp_path):
    source = publish_documents(tmp_path / "in", ["longer text"])
    first = engine.run_stage(LengthFilter(model_path="here"), source, tmp_path / "out")
    assert engine.run_stage(LengthFilter(model_path="there"), source, tmp_path / "out") == first
    assert engine.run_stage(LengthFilter(threshold=6), source, tmp_path / "out") != first


def square(number):
    return number * number


def die_once(folder, number):
    marker = Path(folder) / f"{number}"
    if number == 2 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def always_die(number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_results_come_in_the_jobs_order_whatever_the_workers():
    jobs = {f"p{i}": i for i in range(5)}
    expected = {f"p{i}": i * i for i in range(5)}
    for num_workers in (1, 3):
        results = engine.run_partitions(square, jobs, num_workers=num_workers)
        assert list(results.items()) == list(expected.items())


@pytest.mark.fault(38)
def test_a_killed_worker_costs_only_time(tmp_path):
    jobs = {f"p{i}": i for i in range(5)}
    results = engine.run_partitions(partial(die_once, str(tmp_path)), jobs, num_workers=2)
    assert results == {f"p{i}": i * i for i in range(5)}


@pytest.mark.fault(38)
def test_a_job_that_always_kills_its_worker_is_named():
    jobs = {f"p{i}": i for i in range(5)}
    with pytest.raises(PartialError, match=r"partition 'p2': its worker died 3 times; 4 of 5 are done"):
        engine.run_partitions(always_die, jobs, num_workers=2)
