"""Data × tensor parallelism as a setting: a run's weights, its checkpoints at other numbers of ranks, its refusals."""

import json
import os
import signal

import pytest
import torch

from lm.errors import ConfigurationError
from lm.model.files import load_tensors
from lm.storage import open_artifact
from lm.training import PretrainConfig
from lm.training.pretrain import pretrain, work_folder
from tests.faults.test_ranks import wait_for_step
from tests.lm.training.corpora import config_of, make_shards
from tests.lm.training.jobs import Job

# A large epsilon: Adam divides by gradients of almost 0, where the order of a sum would decide the sign.
RUN = {"num_steps": 16, "epsilon": 1e-3, "microbatch_size": 1, "optimizer": "adamw", "evaluation_interval": 6}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("shards") / "s")


@pytest.fixture
def job(shards):
    """A function that runs a job, to its end or to a signal at a step, and returns the exit codes."""

    def run(output, world_size, last_step=None, **changes):
        given = {name: json.dumps(each) if isinstance(each, dict) else each for name, each in changes.items()}
        job = Job(shards.path, output, world_size, **RUN, **given)
        try:
            if last_step is not None:
                wait_for_step(work_folder(output) / "live.jsonl", last_step)
                os.kill(job.processes[0].pid, signal.SIGTERM)
            return set(job.join())
        finally:
            job.close()

    return run


def weights(path):
    return load_tensors(open_artifact(path).file("model.safetensors"))


def test_a_run_over_both_axes_is_that_of_one_process(job, shards, tmp_path):
    """Four ranks are two models of two, two share one model in slices, two split it: the weights and log of one."""
    alone, many = tmp_path / "alone", tmp_path / "many"
    settings = {"model": {"tie_embeddings": True, "qk_norm": True, "logit_soft_cap": 20.0}}
    pretrain(config_of(**RUN, **settings), shards.path, alone)
    assert job(many, 4, 5, tensor_parallel=2, **settings) <= {143, 0}
    assert job(many, 2, 10, data_parallel="fsdp", **settings) <= {143, 0}
    assert job(many, 2, tensor_parallel=2, **settings) == {0}
    expected, found = weights(alone), weights(many)
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6)
    summaries = [open_artifact(path).summary for path in (alone, many)]
    assert summaries[0]["parameters"] == summaries[1]["parameters"]
    assert summaries[1]["validation_loss"] == pytest.approx(summaries[0]["validation_loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_processes": 3}, "tensor_parallel: 2, expected a divisor of 3 ranks"),
        ({"data_parallel": "zero1"}, "data_parallel: zero1, expected ddp with tensor_parallel = 2"),
        ({"optimizer": "muon"}, "optimizer: muon, expected adamw or sgd with tensor_parallel = 2"),
        ({"z_loss": 1e-4}, "z_loss: 0.0001, expected 0 with tensor_parallel = 2"),
        ({"compile": "blocks"}, "compile: blocks, expected auto or off with tensor_parallel = 2"),
        ({"num_processes": 8, "batch_size": 6}, "batch_size: 6, expected a multiple of 4 ranks"),
    ],
)
def test_refuses_by_name(changes, message):
    settings = {"num_processes": 2, "num_steps": 1, "batch_size": 6, "optimizer": "adamw", "tensor_parallel": 2}
    with pytest.raises(ConfigurationError, match=message):
        PretrainConfig(**{**settings, **changes})


def test_one_process_cannot_split_a_model(shards, tmp_path):
    with pytest.raises(ConfigurationError, match="tensor_parallel: 2, expected a divisor of 1 rank"):
        pretrain(config_of(**RUN, tensor_parallel=2), shards.path, tmp_path / "m")
