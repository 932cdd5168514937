"""A run that is interrupted in mid-training: exit code 130, a checkpoint, no child left, and the next run goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

RUNNER = """
import dagster as dg
from pathlib import Path
import sys
from assets.demo import _raise_if_failed
from assets.support.processes import pipes_client, run_training
from lm.errors import run_command
from lm.training.config import PretrainConfig

shards, output = sys.argv[1:3]

@dg.asset
def model(context: dg.AssetExecutionContext) -> None:
    config = PretrainConfig(preset="test", num_steps=100_000, batch_size=2, checkpoint_interval=0, num_threads=1)
    run_training(context, pipes_client(), "pretrain", config, {"shards": shards, "output": output})

def main(argv):
    _raise_if_failed(dg.materialize([model], raise_on_error=False))
    return 0

run_command(main)
"""


def children_of(pid):
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


@pytest.mark.fault(28)
def test_an_interrupted_training_leaves_a_checkpoint_and_no_child(tiny_run, tiny_home, tmp_path):
    output = tmp_path / "model"
    live = tmp_path / "model.work" / "live.jsonl"
    command = [sys.executable, "-c", RUNNER, str(tiny_home / "artifacts" / "token_shards"), str(output)]
    environment = {**os.environ, "DAGSTER_HOME": "", "PYTHONWARNINGS": "ignore"}
    run = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not (live.exists() and live.stat().st_size > 0):
        assert run.poll() is None, run.stderr.read()
        assert time.monotonic() < deadline, "no step was taken"
        time.sleep(0.1)
    children = children_of(run.pid)
    run.send_signal(signal.SIGINT)
    _, message = run.communicate(timeout=90)
    assert run.returncode == 130
    assert "error: model: interrupted; run it again to go on from here" in message
    assert list((tmp_path / "model.work" / "checkpoints").glob("step-*"))
    assert not output.joinpath("manifest.json").exists()
    assert children
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
