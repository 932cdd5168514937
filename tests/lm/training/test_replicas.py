"""Two processes that train one model: as one would, and stopped together where one of them meets a NaN."""

import functools
import multiprocessing

import pytest
import torch
import torch.distributed as dist

from lm.configuration import from_mapping
from lm.errors import ConfigurationError
from lm.model import TransformerLM, preset
from lm.shards import TokenShards
from lm.storage import open_artifact
from lm.training import BatchLoader, NonFiniteError, PretrainConfig, Trainer, make_reading_order
from lm.training.replicas import sum_gradients
from tests.lm.training.corpora import SETTINGS, make_shards

NUM_STEPS, BAD_STEP = 3, 2


def make_trainer(path, rank=0, world_size=1):
    config = from_mapping(PretrainConfig, {**SETTINGS, "microbatch_size": 1, "optimizer": "sgd"})
    torch.manual_seed(0)
    model = TransformerLM(preset("test", vocab_size=64))
    order = make_reading_order(
        TokenShards.open(open_artifact(path), "train"), context_length=32, packing="padded", seed=0
    )
    return Trainer(config, model, BatchLoader(order, batch_size=4, rank=rank, world_size=world_size))


def poisoned_hidden(model, *arguments, **masks):
    return model.hidden(*arguments, **masks) * float("nan")


def train(rank, path, meeting, results, poisoned):
    """The life of one of two processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    trainer, error, told = make_trainer(path, rank, 2), "", []
    documents = []
    for step in range(1, NUM_STEPS + 1):
        before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
        if rank == 1 and poisoned and step == BAD_STEP:
            state = trainer.loader.state()
            documents = trainer.loader.doc_ids(trainer.loader.next_batch().places)
            trainer.loader.restore(state)
            trainer._hidden = functools.partial(poisoned_hidden, trainer.model)
        try:
            told.append(trainer.train_step().row())
        except NonFiniteError as raised:
            error = str(raised)
            break
    after = trainer.model.state_dict()
    unchanged = all(torch.equal(before[name], after[name]) for name in after)
    torch.save({"weights": after, "told": told, "error": error, "unchanged": unchanged, "documents": documents},
               results / f"{rank}.pt")  # fmt: skip
    dist.destroy_process_group()


def run_two(tmp_path, poisoned):
    path = make_shards(tmp_path / "s").path
    context = multiprocessing.get_context("spawn")
    arguments = (path, tmp_path / "meeting", tmp_path, poisoned)
    processes = [context.Process(target=train, args=(rank, *arguments)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    return path, [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_processes_train_as_one(tmp_path):
    path, (first, second) = run_two(tmp_path, poisoned=False)
    alone = make_trainer(path)
    told = [alone.train_step().row() for _ in range(NUM_STEPS)]
    for name, tensor in alone.model.state_dict().items():
        torch.testing.assert_close(first["weights"][name], tensor, rtol=1e-5, atol=1e-6)
        assert torch.equal(first["weights"][name], second["weights"][name]), name
    for one, two in zip(first["told"], told, strict=True):
        assert one == pytest.approx(two, rel=1e-5)


@pytest.mark.fault(29)
def test_nan_in_one_process_stops_both_before_the_update(tmp_path):
    _, (first, second) = run_two(tmp_path, poisoned=True)
    assert first["error"] == (
        f"step {BAD_STEP}: loss is nan with the part of another process, which names the documents; "
        "stopped before the update"
    )
    assert second["error"].startswith(f"step {BAD_STEP}: loss is nan, expected a finite number")
    assert second["documents"] and second["documents"][0] in second["error"]
    for rank in (first, second):
        assert rank["unchanged"] and len(rank["told"]) == BAD_STEP - 1
    for name, tensor in first["weights"].items():
        assert torch.equal(tensor, second["weights"][name]), name


def test_experts_balanced_by_bias_are_refused_in_several_processes(tmp_path, monkeypatch):
    path = make_shards(tmp_path / "s").path
    monkeypatch.setattr("lm.training.trainer.num_processes", lambda: 2)
    model = TransformerLM(preset("test", vocab_size=64, num_experts=2, experts_per_token=1, expert_balance="bias"))
    trainer = make_trainer(path)
    with pytest.raises(ConfigurationError, match="expert_balance: 'bias'"):
        Trainer(trainer.config, model, trainer.loader)


def test_gradients_of_one_process_are_left_alone():
    parameter = torch.nn.Parameter(torch.ones(2))
    sum_gradients([parameter])
    assert parameter.grad is None
