"""ZeRO stage 2: the weights of one process, gradients on their owners, and half of an all-reduce's bytes."""

import pytest

from lm.accounting.communication import ring_bytes
from lm.parallel import ShardedGradients, count_traffic
from tests.lm.parallel import cases
from tests.lm.parallel.test_data_parallel import assert_as_alone


def sharded(rank, world_size, model_name, optimizer):
    model = cases.MODELS[model_name](seed=rank)
    made = cases.make_optimizer(model, optimizer, sharded=True)
    wrapped = ShardedGradients(model, made, bucket_size_mb=0.01)
    steps = cases.microbatches(rank, world_size, cases.batches())
    clip = lambda parameters, norm: wrapped.clip_gradients(norm)  # noqa: E731
    cases.train(model, made, steps, wrapped=wrapped, clip=clip)
    return cases.weights(model)


@pytest.mark.parametrize(("model", "optimizer"), [("odd", "adamw"), ("transformer", "muon")])
def test_ranks_train_as_one_process(ranks, model, optimizer):
    assert_as_alone(ranks(sharded, model, optimizer), cases.alone(model, optimizer))


def gradients(rank, world_size):
    model = cases.transformer()
    made = cases.make_optimizer(model, "adamw", sharded=True)
    wrapped = ShardedGradients(model, made)
    ids, targets = cases.batches(1)[0]
    with count_traffic() as traffic:
        cases.loss_of(wrapped, ids, targets).backward()
        wrapped.finish_gradient_synchronization()
    own = [made.owner_of(p) == rank for p in model.parameters()]
    return own, [p.grad is not None for p in model.parameters()], traffic.sent_bytes


def test_only_the_owner_has_a_gradient_and_a_reduce_sends_half(ranks):
    parameters = list(cases.transformer().parameters())
    size = sum(4 * p.numel() for p in parameters)
    answers = ranks(gradients)
    for own, present, sent in answers:
        assert own == present
        assert sent["reduce"] == pytest.approx(ring_bytes("reduce", size, ranks.world_size))
        assert sent["all_reduce"] == pytest.approx(ring_bytes("all_reduce", len(parameters), ranks.world_size))
    assert [sum(kept) for kept in zip(*(own for own, _, _ in answers), strict=True)] == [1] * len(parameters)
