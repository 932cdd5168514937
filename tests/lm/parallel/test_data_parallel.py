"""DDP in every variant: the weights of one process, whatever is tied, frozen, unused or accumulated."""

import functools

import pytest
import torch
from torch import nn

from lm.accounting.communication import ring_bytes
from lm.errors import ConfigurationError
from lm.parallel import DDP, BucketedDDP, FlatDDP, NaiveDDP, count_traffic
from tests.lm.parallel import cases
from tests.lm.parallel.cases import WRAPPERS


def assert_as_alone(found, expected):
    for each in found:
        for name, tensor in expected.items():
            torch.testing.assert_close(each[name], tensor, rtol=0, atol=1e-6, msg=lambda text, n=name: f"{n}: {text}")
            assert torch.equal(each[name], found[0][name]), name


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize(("model", "optimizer"), [("odd", "adamw"), ("transformer", "muon")])
def test_ranks_train_as_one_process(ranks, wrapper, model, optimizer):
    found = ranks(cases.replicated, model, optimizer, wrapper)
    assert_as_alone(found, cases.alone(model, optimizer))


def sometimes_unused(rank, world_size, wrapper):
    """Rank 0 alone uses `left`, in odd steps; no rank uses `never`."""
    torch.manual_seed(0)
    layers = nn.ModuleDict({name: nn.Linear(3, 3) for name in ("first", "left", "never", "last")})
    wrapped = WRAPPERS[wrapper](layers)
    optimizer = torch.optim.AdamW(layers.parameters(), lr=0.1)
    gradients = []
    for step in range(4):
        x = layers["first"](torch.full((1, 3), 1.0 + step))
        if rank == 0 and step % 2:
            x = layers["left"](x)
        optimizer.zero_grad()
        layers["last"](x).sum().backward()
        wrapped.finish_gradient_synchronization()
        gradients.append([parameter.grad is not None for parameter in layers.parameters()])
        optimizer.step()
    return gradients, cases.weights(layers)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_unused_parameters_count_zero_or_stay_without_gradient(two, wrapper):
    (gradients, weights), (other_gradients, other_weights) = two(sometimes_unused, wrapper)
    even, odd = [True, True, False, False, False, False, True, True], [True] * 4 + [False] * 2 + [True] * 2
    assert gradients == other_gradients == [even, odd, even, odd]
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)


def sent_bytes(rank, world_size, model_name, wrapper):
    model = cases.MODELS[model_name]()
    wrapped = WRAPPERS[wrapper](model)
    optimizer = cases.make_optimizer(model, "adamw")
    with count_traffic() as traffic:
        cases.train(model, optimizer, cases.microbatches(rank, world_size, cases.batches(1)), wrapped=wrapped)
    return traffic.total_bytes, traffic.num_calls["all_reduce"]


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_step_sends_the_bytes_of_the_formula(ranks, wrapper):
    """Each trained number once, whether tied or accumulated, and a byte a parameter for its presence."""
    model = cases.odd()
    trained = [p for p in model.parameters() if p.requires_grad]
    numbers = sum(p.numel() for p in trained)
    unused = sum(p.numel() for p in model.unused.parameters())
    numbers -= unused if wrapper in ("naive", "flat") else 0
    expected = ring_bytes("all_reduce", 4 * numbers + len(trained), ranks.world_size)
    for total, _ in ranks(sent_bytes, "odd", wrapper):
        assert total == pytest.approx(expected, rel=1e-12)


def test_buckets_hold_their_size_in_reverse_order(two):
    calls = {name: two(sent_bytes, "transformer", name)[0][1] for name in WRAPPERS}
    num_parameters = len(list(cases.transformer().parameters()))
    assert calls["naive"] == calls["overlapped"] == num_parameters + 1
    assert calls["flat"] == calls["one_bucket"] == 2
    assert 3 < calls["small_buckets"] < num_parameters


def overlap(rank, world_size, wrapper):
    """The number of collectives that the backward pass has started itself."""
    model = cases.transformer()
    wrapped = WRAPPERS[wrapper](model)
    ids, targets = cases.batches(1)[0]
    with count_traffic() as traffic:
        cases.loss_of(wrapped, ids, targets).backward()
        during = sum(traffic.num_calls.values())
        wrapped.finish_gradient_synchronization()
    return during, sum(traffic.num_calls.values())


@pytest.mark.parametrize(("wrapper", "overlaps"), [("naive", False), ("flat", False), ("overlapped", True),
                                                   ("small_buckets", True)])  # fmt: skip
def test_who_overlaps_starts_within_the_backward_pass(two, wrapper, overlaps):
    during, all_of_them = two(overlap, wrapper)[0]
    assert during == (all_of_them - 1 if overlaps else 0)


def refusals(rank, world_size):
    found = []
    model = cases.odd()
    wrapped = DDP(model)
    ids, targets = cases.batches(1)[0]
    cases.loss_of(wrapped, ids, targets).backward()
    for attempt in (
        lambda: cases.loss_of(wrapped, ids, targets).backward(),
        lambda: (model.frozen.requires_grad_(True), wrapped.finish_gradient_synchronization()),
        lambda: BucketedDDP(model, 0.0),
        lambda: BucketedDDP(model, float("nan")),
    ):
        try:
            attempt()
        except ConfigurationError as error:
            found.append(str(error))
    model.frozen.requires_grad_(False)
    wrapped.finish_gradient_synchronization()
    return found


def test_misuse_is_refused(two):
    for second, unknown, zero, nan in two(refusals):
        assert "run all but the last under no_sync()" in second
        assert "'frozen.weight' began to require a gradient" in unknown
        assert zero == "bucket_size_mb: 0.0, expected a number above 0"
        assert nan == "bucket_size_mb: nan, expected a number above 0"


def buffers_and_frozen(rank, world_size):
    model = cases.odd(seed=rank)
    model.shift.fill_(rank)
    NaiveDDP(model)
    return model.shift.sum().item(), model.frozen.weight.clone()


def test_frozen_weights_and_buffers_are_rank_0s(two):
    (shift, frozen), (other_shift, other_frozen) = two(buffers_and_frozen)
    assert shift == other_shift == 0.0
    assert torch.equal(frozen, other_frozen)


@pytest.mark.parametrize("wrapper", [NaiveDDP, FlatDDP, DDP, functools.partial(BucketedDDP, bucket_size_mb=1)])
def test_one_process_without_a_group_is_left_alone(wrapper):
    model = cases.odd()
    cases.train(model, cases.make_optimizer(model, "adamw"), cases.microbatches(0, 1, cases.batches()),
                wrapped=wrapper(model))  # fmt: skip
    assert_as_alone([cases.weights(model)], cases.alone("odd", "adamw"))
