"""The sharded optimizer: the weights of one process from a share of its state, at any number of ranks."""

import copy

import pytest
import torch

from lm.accounting.communication import ring_bytes
from lm.errors import InputError
from lm.parallel import ShardedOptimizer, count_traffic
from lm.parallel.sharded_optimizer import merged_state
from tests.lm.parallel import cases
from tests.lm.parallel.test_data_parallel import assert_as_alone


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [("odd", "adamw"), ("odd", "torch_adamw"), ("odd", "torch_adafactor"), ("transformer", "muon")],
)
def test_ranks_train_as_one_process(ranks, model, optimizer):
    assert_as_alone(ranks(cases.replicated, model, optimizer, "small_buckets", True), cases.alone(model, optimizer))


def held(rank, world_size):
    """Bytes of state on this rank, and bytes sent in a step."""
    model = cases.transformer()
    optimizer = cases.make_optimizer(model, "adamw", sharded=True)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    with count_traffic() as traffic:
        optimizer.step()
    kept = sum(v.numel() * 4 for s in optimizer.state.values() for v in s.values() if isinstance(v, torch.Tensor))
    return kept, traffic.total_bytes


def test_each_rank_keeps_a_balanced_share_of_the_state(ranks):
    model = cases.transformer()
    sizes = [4 * p.numel() for p in model.parameters()]
    kept = [bytes_ for bytes_, _ in ranks(held)]
    assert sum(kept) == 2 * sum(sizes)
    assert max(kept) - min(kept) <= 2 * max(sizes)
    expected = ring_bytes("broadcast", sum(sizes), ranks.world_size)
    assert all(sent == pytest.approx(expected) for _, sent in ranks(held))


def first_part(rank, world_size, num_steps):
    model = cases.transformer()
    optimizer = cases.make_optimizer(model, "muon", sharded=True)
    steps = cases.microbatches(rank, world_size, cases.batches()[:num_steps])
    cases.train(model, optimizer, steps, wrapped=cases.WRAPPERS["overlapped"](model))
    return cases.weights(model), optimizer.state_dict()


def second_part(rank, world_size, num_steps, state, saved):
    model = cases.transformer(seed=7)
    model.load_state_dict(state)
    optimizer = cases.make_optimizer(model, "muon", sharded=True)
    # A copy: what comes through a pipe lies in memory that all processes share.
    optimizer.load_state_dict(copy.deepcopy(saved[rank] if isinstance(saved, list) else saved))
    steps = cases.microbatches(rank, world_size, cases.batches()[num_steps:])
    cases.train(model, optimizer, steps, wrapped=cases.WRAPPERS["overlapped"](model))
    return cases.weights(model)


def test_a_state_resumes_exactly_and_at_other_numbers_of_ranks(pools):
    saved = pools[4](first_part, 9)
    state, parts = saved[0][0], [part for _, part in saved]
    whole = merged_state(parts)
    unbroken = pools[4](cases.replicated, "transformer", "muon", "overlapped", True)
    own, joined = (pools[4](second_part, 9, state, given) for given in (parts, whole))
    for name, tensor in unbroken[0].items():
        assert torch.equal(own[0][name], tensor) and torch.equal(joined[3][name], tensor), name
    assert_as_alone(pools[2](second_part, 9, state, whole), cases.alone("transformer", "muon"))
    # One process without any sharding takes it too.
    model = cases.transformer(seed=7)
    model.load_state_dict(state)
    optimizer = cases.make_optimizer(model, "muon")
    optimizer.load_state_dict(whole)
    cases.train(model, optimizer, cases.microbatches(0, 1, cases.batches()[9:]))
    assert_as_alone([cases.weights(model)], cases.alone("transformer", "muon"))


def lacking(rank, world_size, part):
    optimizer = cases.make_optimizer(cases.transformer(), "muon", sharded=True)
    try:
        optimizer.load_state_dict(part)
    except InputError as error:
        return str(error)


def test_another_ranks_state_is_refused(two):
    parts = [part for _, part in two(first_part, 1)]
    assert two(lacking, parts[0])[0] is None
    assert "of rank 1); expected the state of all ranks" in two(lacking, parts[0])[1]


def late_group(rank, world_size):
    torch.manual_seed(0)
    early, late = torch.nn.Linear(5, 3), torch.nn.Linear(3, 2)
    made = {}
    for sharded in (True, False):
        first, second = (torch.nn.Linear(5, 3), torch.nn.Linear(3, 2))
        first.load_state_dict(early.state_dict())
        second.load_state_dict(late.state_dict())
        settings = {"lr": 0.1, "betas": (0.5, 0.6)}
        if sharded:
            optimizer = ShardedOptimizer(first.parameters(), torch.optim.AdamW, **settings)
        else:
            optimizer = torch.optim.AdamW(first.parameters(), **settings)
        for step in range(4):
            if step == 2:
                optimizer.add_param_group({"params": list(second.parameters()), "lr": 0.2})
                optimizer.param_groups[0]["lr"] = 0.05
            optimizer.zero_grad()
            second(first(torch.ones(5))).square().sum().backward()
            optimizer.step()
        made[sharded] = [p.detach().clone() for module in (first, second) for p in module.parameters()]
    return made


def test_groups_may_come_later_and_rates_change(ranks):
    for made in ranks(late_group):
        for own, expected in zip(made[True], made[False], strict=True):
            assert torch.equal(own, expected)
