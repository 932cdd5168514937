"""Ranks that train one model: as one would, and stopped together where one of them meets a NaN."""

import functools

import pytest
import torch

from lm.configuration import from_mapping
from lm.model import TransformerLM, preset
from lm.shards import TokenShards
from lm.storage import open_artifact
from lm.training import BatchLoader, NonFiniteError, PretrainConfig, Trainer, make_reading_order
from tests.lm.parallel.pool import Ranks
from tests.lm.training.corpora import SETTINGS, make_shards

NUM_STEPS, BAD_STEP = 3, 2
EXPERTS = {"num_experts": 4, "experts_per_token": 2, "expert_balance": "bias"}


@pytest.fixture(scope="module")
def two():
    ranks = Ranks(2)
    yield ranks
    ranks.close()


def make_trainer(path, rank=0, world_size=1, model=None, **changes):
    config = from_mapping(PretrainConfig, {**SETTINGS, "microbatch_size": 1, "optimizer": "sgd", **changes})
    torch.manual_seed(0)
    made = TransformerLM(preset("test", vocab_size=64, **(model or {})))
    order = make_reading_order(
        TokenShards.open(open_artifact(path), "train"), context_length=32, packing="padded", seed=0
    )
    split = config.tensor_parallel
    loader = BatchLoader(order, batch_size=4, rank=rank // split, world_size=max(1, world_size // split))
    return Trainer(config, made, loader)


def poisoned_hidden(hidden, *arguments, **masks):
    return hidden(*arguments, **masks) * float("nan")


def train(rank, world_size, path, poisoned=False, model=None, changes=None):
    """The steps of one of the ranks."""
    trainer, error, told = make_trainer(path, rank, world_size, model, **(changes or {})), "", []
    documents = []
    for step in range(1, NUM_STEPS + 1):
        before = {name: tensor.clone() for name, tensor in trainer.replicas.held.state_dict().items()}
        if rank == 1 and poisoned and step == BAD_STEP:
            state = trainer.loader.state()
            documents = trainer.loader.doc_ids(trainer.loader.next_batch().places)
            trainer.loader.restore(state)
            trainer.model.hidden = functools.partial(poisoned_hidden, trainer.model.hidden)
        try:
            told.append(trainer.train_step().row())
        except NonFiniteError as raised:
            error = str(raised)
            break
    after = trainer.replicas.held.state_dict()
    unchanged = all(torch.equal(before[name], after[name]) for name in after)
    with trainer.replicas.whole_model() as whole:
        weights = {name: tensor.detach().clone() for name, tensor in whole.state_dict().items()}
    return {"weights": weights, "told": told, "error": error, "unchanged": unchanged, "documents": documents}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("shards") / "s").path


@pytest.mark.parametrize("model", [{}, EXPERTS], ids=["dense", "experts balanced by bias"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "muon", "data_parallel": "zero1", "epsilon": 1e-3},
        {"optimizer": "muon", "data_parallel": "fsdp", "epsilon": 1e-3, "recomputation": "blocks"},
        {"optimizer": "adamw", "data_parallel": "fsdp", "epsilon": 1e-3},
        {"optimizer": "muon", "data_parallel": "zero2", "epsilon": 1e-3},
        {"optimizer": "muon", "data_parallel": "fully_shard", "epsilon": 1e-3, "recomputation": "blocks"},
        {"optimizer": "adamw", "data_parallel": "fully_shard", "epsilon": 1e-3},
    ],
    ids=["ddp", "zero1", "fsdp, recomputing", "fsdp", "zero2", "torch's fsdp, recomputing", "torch's fsdp"],
)
def test_ranks_train_as_one(two, path, model, changes):
    first, second = two(train, path, False, model, changes)
    alone = train(0, 1, path, False, model, changes)
    assert (model == EXPERTS) == any(name.endswith("expert_bias") for name in alone["weights"])
    for name, tensor in alone["weights"].items():
        torch.testing.assert_close(first["weights"][name], tensor, rtol=1e-5, atol=1e-6)
        assert torch.equal(first["weights"][name], second["weights"][name]), name
    for one, two_ranks in zip(first["told"], alone["told"], strict=True):
        assert one == pytest.approx(two_ranks, rel=1e-5)


@pytest.mark.fault(29)
def test_nan_in_one_process_stops_both_before_the_update(two, path):
    first, second = two(train, path, True)
    assert first["error"] == (
        f"step {BAD_STEP}: loss is nan because of another process, whose message has the documents; "
        "stopped before the update"
    )
    assert second["error"].startswith(f"step {BAD_STEP}: loss is nan, expected a finite number")
    assert second["documents"] and second["documents"][0] in second["error"]
    for rank in (first, second):
        assert rank["unchanged"] and len(rank["told"]) == BAD_STEP - 1
    for name, tensor in first["weights"].items():
        assert torch.equal(tensor, second["weights"][name]), name
