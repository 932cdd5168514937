"""A run that is interrupted in mid-training: exit code 130, a checkpoint, no child left, and the next run goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from assets.support.processes import _failure, command_of
from lm.errors import RankLostError, UnreachableError
from tests.conftest import REPOSITORY

RUNNER = """
import dagster as dg
from pathlib import Path
import sys
from assets.demo import _raise_if_failed
from assets.support.processes import pipes_client, run_training
from lm.errors import run_command
from lm.training.config import PretrainConfig

shards, output, num_processes = sys.argv[1:4]

@dg.asset
def model(context: dg.AssetExecutionContext) -> None:
    config = PretrainConfig(preset="test", num_steps=100_000, batch_size=2, checkpoint_interval=INTERVAL, num_threads=1,
                            num_processes=int(num_processes))
    run_training(context, pipes_client(), "pretrain", config, {"shards": shards, "output": output})

def main(argv):
    _raise_if_failed(dg.materialize([model], raise_on_error=False))
    return 0

run_command(main)
"""


def children_of(pid):
    """The processes below a process, at any depth."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    children = [int(word) for word in listed.stdout.split()]
    return [*children, *(below for child in children for below in children_of(child))]


def begin(home, output, interval, until, num_processes=1):
    """Start a training, and give its process once `until` holds."""
    code = RUNNER.replace("INTERVAL", str(interval))
    command = [sys.executable, "-c", code, str(home / "artifacts" / "token_shards"), str(output), str(num_processes)]
    environment = {**os.environ, "DAGSTER_HOME": "", "PYTHONWARNINGS": "ignore"}
    run = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not until():
        assert run.poll() is None, run.stderr.read()
        assert time.monotonic() < deadline, "no step was taken"
        time.sleep(0.1)
    return run


def test_a_killed_training_says_so_and_where_the_next_launch_begins(tiny_run, tiny_home, tmp_path):
    checkpoints = tmp_path / "model.work" / "checkpoints"
    run = begin(tiny_home, tmp_path / "model", 5, lambda: any(checkpoints.glob("step-*/manifest.json")))
    child, *_ = children_of(run.pid)
    os.kill(child, signal.SIGKILL)
    _, message = run.communicate(timeout=90)
    steps = [int(path.parent.name.removeprefix("step-")) for path in checkpoints.glob("step-*/manifest.json")]
    said = f"killed (SIGKILL; out of memory?), launch again to resume from step {max(steps):,}"
    assert message.splitlines()[-1] == f"error: model: pretrain: {said}"


def test_a_training_ends_with_its_killed_run_and_leaves_a_checkpoint(tiny_run, tiny_home, tmp_path):
    live = tmp_path / "model.work" / "live.jsonl"
    run = begin(tiny_home, tmp_path / "model", 0, lambda: live.exists() and live.stat().st_size > 0)
    child, *_ = children_of(run.pid)
    run.kill()
    run.communicate(timeout=90)
    deadline = time.monotonic() + 90
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < deadline, "the training goes on without its run"
        time.sleep(0.1)
    assert list((tmp_path / "model.work" / "checkpoints").glob("step-*/manifest.json"))


@pytest.mark.fault(28)
@pytest.mark.parametrize("num_processes", [1, 2])
def test_an_interrupted_training_leaves_a_checkpoint_and_no_child(tiny_run, tiny_home, tmp_path, num_processes):
    output = tmp_path / "model"
    live = tmp_path / "model.work" / "live.jsonl"
    run = begin(tiny_home, output, 0, lambda: live.exists() and live.stat().st_size > 0, num_processes)
    children = children_of(run.pid)
    run.send_signal(signal.SIGINT)
    _, message = run.communicate(timeout=90)
    assert run.returncode == 130
    assert "error: model: interrupted; run the command again to resume" in message
    assert list((tmp_path / "model.work" / "checkpoints").glob("step-*"))
    assert not output.joinpath("manifest.json").exists()
    assert len(children) > num_processes - 1
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_the_command_starts_torchrun_or_the_launcher_of_the_environment(monkeypatch):
    monkeypatch.delenv("LOAM_LAUNCHER", raising=False)
    module = ["-m", "assets.support.training_process"]
    assert command_of(1) == [sys.executable, *module]
    assert command_of(8)[1:] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "8", *module]
    monkeypatch.setenv("LOAM_LAUNCHER", "srun --nodes 4 torchrun --nproc-per-node {num_processes} --rdzv-id 'a b'")
    assert command_of(8) == ["srun", "--nodes", "4", "torchrun", "--nproc-per-node", "8", "--rdzv-id", "a b", *module]


@pytest.mark.parametrize(
    ("kind", "exit_code", "raised"),
    [
        ("UnreachableError", 3, UnreachableError),
        ("RankLostError", 3, RankLostError),
        ("InputError", 2, dg.Failure),
        ("NonFiniteError", 3, dg.Failure),
    ],
)
def test_a_childs_error_keeps_its_cause(tmp_path, kind, exit_code, raised):
    file = tmp_path / "error.json"
    file.write_text(json.dumps({"message": "what happened", "exit_code": exit_code, "kind": kind}))
    found = _failure("pretrain", file, RuntimeError(), {})
    assert type(found) is raised
    if raised is dg.Failure:
        assert (found.description, found.allow_retries) == ("what happened", False)
    else:
        assert (str(found), found.exit_code) == ("what happened", exit_code)
