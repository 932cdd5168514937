"""A run whose process was killed gives its slot back to the next one; a run that goes on keeps it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from assets.support import dead_runs
from tests.conftest import REPOSITORY

POOLED = """
import dagster as dg
import sys
from assets.support.resources import LoamHome

@dg.asset(pool="gpu")
def model(home: LoamHome) -> None:
    print("begun", flush=True)
    sys.stdin.read()  # until the test ends its input, or this process

job = dg.define_asset_job("train", executor_def=dg.in_process_executor)
defs = dg.Definitions([model], jobs=[job], resources={"home": LoamHome()})
with dg.DagsterInstance.get() as instance:
    defs.resolve_job_def("train").execute_in_process(instance=instance, run_id=RUN_ID)
print("ended", flush=True)
"""
FIRST, SECOND = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2))


@pytest.fixture
def start(tmp_path, monkeypatch):
    (tmp_path / "dagster.yaml").write_text((REPOSITORY / "assets" / "instance.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    processes = []

    def begin(run_id):
        code = POOLED.replace("RUN_ID", repr(run_id))
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code],
            cwd=REPOSITORY, env=dict(os.environ), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def statuses():
    with dg.DagsterInstance.get() as instance:
        return {run.run_id: run.status for run in instance.get_runs()}


@pytest.mark.fault(48)
def test_a_killed_run_gives_its_slot_to_the_next(start):
    killed = start(FIRST)
    assert killed.stdout.readline().strip() == "begun"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert statuses() == {FIRST: dg.DagsterRunStatus.STARTED}
    following = start(SECOND)
    out, _ = following.communicate(timeout=120)
    assert out.split() == ["begun", "ended"]
    assert statuses() == {FIRST: dg.DagsterRunStatus.FAILURE, SECOND: dg.DagsterRunStatus.SUCCESS}
    assert not list(Path(os.environ["DAGSTER_HOME"], "locks").iterdir())


def test_a_run_that_goes_on_is_left_alone(start):
    running = start(FIRST)
    assert running.stdout.readline().strip() == "begun"
    with dg.DagsterInstance.get() as instance:
        assert dead_runs.bury(instance) == []
    assert statuses() == {FIRST: dg.DagsterRunStatus.STARTED}


def test_a_re_executed_run_is_not_taken_for_its_dead_parent(tmp_path):
    started = dg.DagsterRunStatus.STARTED
    tags = {dead_runs.LOCK_TAG: str(tmp_path / f"{FIRST}.lock")}  # of a process that is gone; re-execution copies it
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for run_id in (FIRST, SECOND):
            instance.add_run(dg.DagsterRun("train", run_id=run_id, status=started, tags=tags))
        assert dead_runs.bury(instance) == [FIRST]
        found = {run.run_id: run.status for run in instance.get_runs()}
    assert found == {FIRST: dg.DagsterRunStatus.FAILURE, SECOND: started}
