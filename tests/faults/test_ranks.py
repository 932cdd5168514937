"""Faults of a job of several ranks: one killed, stopped or failing, a signal to one; and other numbers of ranks."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from lm.model.files import load_tensors
from lm.storage import open_artifact
from lm.training.pretrain import pretrain, work_folder
from lm.training.run_checkpoint import newest_checkpoint
from tests.conftest import REPOSITORY
from tests.lm.training.corpora import arguments, config_of, make_shards
from tests.lm.training.jobs import Job

LONG = {"num_steps": 100_000, "checkpoint_interval": 3, "evaluation_interval": 0, "rank_silence_s": 3}
# A large epsilon: Adam divides by gradients of almost 0, where the order of a sum would decide the sign.
SHORT = {"num_steps": 20, "epsilon": 1e-3, "microbatch_size": 1, "optimizer": "muon"}
MOST_S = 60


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("shards") / "s")


@pytest.fixture
def job(shards):
    """A function that starts a job; what is left of jobs is killed."""
    started = []

    def start(output, world_size, **changes):
        started.append(Job(shards.path, output, world_size, **changes))
        return started[-1]

    yield start
    for each in started:
        each.close()


def wait_for_checkpoint(output, timeout_s=60):
    folder, end = work_folder(output) / "checkpoints", time.monotonic() + timeout_s
    while not list(folder.glob("step-*/manifest.json")):
        assert time.monotonic() < end, "no checkpoint was written"
        time.sleep(0.02)


@pytest.mark.fault(30)
@pytest.mark.parametrize(
    ("sent", "said"), [(signal.SIGKILL, "died"), (signal.SIGSTOP, "has sent no heartbeat for 3 s")]
)
def test_a_rank_that_dies_or_stops_ends_all_and_is_named(job, tmp_path, sent, said):
    output = tmp_path / "m"
    running = job(output, 4, **LONG, data_parallel="zero1")
    wait_for_checkpoint(output)
    lost, started = running.processes[2], time.monotonic()
    os.kill(lost.pid, sent)
    codes = running.join(MOST_S)
    assert time.monotonic() - started < MOST_S
    assert codes == [3, 3, -signal.SIGKILL, 3]
    for rank in (0, 1, 3):
        (line,) = running.errors()[rank]
        assert line.startswith(f"error: rank 2 of 4 (process {lost.pid} on ") and said in line
    assert newest_checkpoint(work_folder(output) / "checkpoints", print) is not None
    assert not output.joinpath("manifest.json").exists()


@pytest.mark.fault(30)
def test_an_error_of_one_rank_ends_all_with_its_message(job, tmp_path):
    """Rank 0 alone finds that another process holds the output; the others wait for it."""
    output = tmp_path / "m"
    first = job(output, 1, **LONG)
    wait_for_checkpoint(output)
    second = job(output, 2, **LONG)
    assert second.join(MOST_S) == [2, 2]
    for lines in second.errors():
        assert len(lines) == 1 and "is publishing here; wait for it or stop it" in lines[0]
    assert first.processes[0].is_alive()


@pytest.mark.fault(28)
def test_a_signal_to_one_rank_stops_all_with_a_checkpoint_and_the_next_job_goes_on(job, tmp_path, shards):
    output, unbroken = tmp_path / "m", tmp_path / "unbroken"
    changes = {**SHORT, "data_parallel": "fsdp", "num_steps": 40, "evaluation_interval": 0}
    running = job(output, 2, **changes)
    wait_for_checkpoint(output)
    os.kill(running.processes[1].pid, signal.SIGTERM)
    assert running.join(MOST_S) == [143, 143]
    assert not list((work_folder(output) / "checkpoints").glob("parts/*"))
    assert [job(path, 2, **changes).join(MOST_S) for path in (output, unbroken)] == [[0, 0]] * 2
    assert open_artifact(output).digest == open_artifact(unbroken).digest


@pytest.mark.fault(28)
def test_all_ranks_wait_for_the_checkpoint_of_the_first_on_a_slow_disk(job, tmp_path):
    output = tmp_path / "m"
    running = job(output, 2, disk_s=3, **{**LONG, "checkpoint_interval": 0})
    wait_for_step(work_folder(output) / "live.jsonl", 1)
    os.kill(running.processes[1].pid, signal.SIGTERM)
    assert running.join(MOST_S) == [143, 143]
    assert newest_checkpoint(work_folder(output) / "checkpoints", print) is not None


@pytest.mark.fault(31)
def test_a_run_goes_on_at_any_number_of_ranks(job, tmp_path, shards):
    """1 rank, then 4, 2, 2 and 1, which share the state in other ways: the weights of one process."""
    output, alone = tmp_path / "m", tmp_path / "alone"
    expected = pretrain(config_of(**SHORT), shards.path, alone)
    for world_size, last_step, strategy in ((1, 3, "ddp"), (4, 7, "zero1"), (2, 11, "fsdp"), (2, 14, "fully_shard")):
        stopped = job(output, world_size, **SHORT, data_parallel=strategy)
        live = work_folder(output) / "live.jsonl"
        wait_for_step(live, last_step)
        os.kill(stopped.processes[0].pid, signal.SIGTERM)
        assert set(stopped.join(MOST_S)) <= {143, 0}
    assert job(output, 1, **SHORT).join(MOST_S) == [0]
    found = load_tensors(open_artifact(output).file("model.safetensors"))
    for name, tensor in load_tensors(expected.file("model.safetensors")).items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6)


def test_a_job_starts_from_another_runs_weights_and_moments_in_parts(job, tmp_path, shards):
    """Two ranks with slices begin at a checkpoint in parts, and at a model; as one process does."""
    first = tmp_path / "first"
    assert job(first, 2, **SHORT, keep_every=10, data_parallel="fsdp").join(MOST_S) == [0, 0]
    kept = work_folder(first) / "kept" / "step-00000010"
    for start, what in ((kept, "optimizer"), (first, "weights")):
        changes = {**SHORT, "num_steps": 3, "init_from": str(start), "init_state": what, "seed": 1}
        alone, many = tmp_path / f"alone-{what}", tmp_path / f"many-{what}"
        expected = pretrain(config_of(**changes), shards.path, alone)
        strategy = "fsdp" if what == "optimizer" else "fully_shard"
        assert job(many, 2, **changes, data_parallel=strategy).join(MOST_S) == [0, 0]
        found = load_tensors(open_artifact(many).file("model.safetensors"))
        for name, tensor in load_tensors(expected.file("model.safetensors")).items():
            torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6)


def wait_for_step(live, step, timeout_s=60):
    end = time.monotonic() + timeout_s
    while not (live.exists() and f'"step": {step},' in live.read_text()):
        assert time.monotonic() < end, f"step {step} was not taken"
        time.sleep(0.005)


@pytest.mark.fault(30)
def test_torchrun_starts_a_job_again_that_lost_a_rank(tmp_path, shards):
    """A real `torchrun` with one restart: the model is that of one process."""
    output = tmp_path / "m"
    changes = {**SHORT, "num_steps": 150, "evaluation_interval": 0, "checkpoint_interval": 20, "optimizer": "adamw"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
               "--max-restarts", "1", "-m", "lm.training", *arguments(shards.path, output, **changes)]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with (tmp_path / "log").open("w") as log:
        run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        try:
            wait_for_checkpoint(output)
            listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(run.pid)], capture_output=True, text=True)
            os.kill(int(listed.stdout.split()[1]), signal.SIGKILL)
            assert run.wait(MOST_S) == 0, (tmp_path / "log").read_text()
        finally:
            run.kill()
    assert "resumed from" in (tmp_path / "log").read_text()
    expected = pretrain(config_of(**changes), shards.path, tmp_path / "alone")
    found = load_tensors(open_artifact(output).file("model.safetensors"))
    for name, tensor in load_tensors(expected.file("model.safetensors")).items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-5)
