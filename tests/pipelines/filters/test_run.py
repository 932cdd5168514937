"""The engine: stages over partitions, exact accounts, workers that die."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lm import storage
from lm.errors import ConfigurationError, IntegrityError, NoSpaceError, PartialError
from pipelines.documents.schema import Judgement, Stage, Verdict, judged
from pipelines.documents.tables import REMOVALS, VERDICTS
from pipelines.documents.view import read_schema, read_table
from pipelines.executor.partitions import run_partitions
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
    for num_workers in (1, 2):
        results = run_partitions(square, jobs, num_workers=num_workers)
        assert list(results.items()) == list(expected.items())


def test_reports_come_as_partitions_finish():
    events = []
    run_partitions(square, {"p0": 0, "p1": 1}, report=events.append)
    assert [(event["partition"], event["finished"], event["total"]) for event in events] == [("p0", 1, 2), ("p1", 2, 2)]


def test_no_workers_are_refused():
    with pytest.raises(ConfigurationError, match="num_workers: 0, expected at least 1"):
        run_partitions(square, {"p0": 0}, num_workers=0)


def refuse(number):
    if number == 1:
        raise IntegrityError("this one is damaged")
    return number


def answer_unpicklably(number):
    return lambda: number


def test_an_error_in_a_worker_is_the_callers():
    with pytest.raises(IntegrityError, match="this one is damaged") as caught:
        run_partitions(refuse, {f"p{i}": i for i in range(3)}, num_workers=2)
    assert "in refuse" in caught.value.__notes__[0]


def test_an_answer_that_cannot_travel_is_told():
    with pytest.raises(TypeError, match="cannot leave its process"):
        run_partitions(answer_unpicklably, {"p0": 0, "p1": 1}, num_workers=2)


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


def sleep_long(folder, number):
    (Path(folder) / f"{os.getpid()}").touch()
    time.sleep(60)


@pytest.mark.fault(38)
def test_a_killed_parent_leaves_no_orphans(tmp_path):
    code = (
        "from functools import partial; from pipelines.filters.run import run_partitions;"
        "from tests.pipelines.filters.test_run import sleep_long;"
        f"run_partitions(partial(sleep_long, {str(tmp_path)!r}), {{'a': 0, 'b': 1}}, num_workers=2)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    children = [int(path.name) for path in tmp_path.iterdir()]
    assert len(children) == 2
    parent.kill()
    parent.wait()
    while any(is_alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_alive(child) for child in children)


def is_alive(process):
    try:
        return (Path("/proc") / str(process) / "stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.fault(38)
def test_a_killed_worker_costs_only_time(tmp_path):
    jobs = {f"p{i}": i for i in range(5)}
    results = run_partitions(partial(die_once, str(tmp_path)), jobs, num_workers=2)
    assert results == {f"p{i}": i * i for i in range(5)}


@pytest.mark.fault(38)
def test_a_job_that_always_kills_its_worker_is_named():
    jobs = {f"p{i}": i for i in range(5)}
    with pytest.raises(PartialError, match=r"partition 'p2': its worker died 3 times, last by signal SIGKILL; \d of 5"):
        run_partitions(always_die, jobs, num_workers=2)
