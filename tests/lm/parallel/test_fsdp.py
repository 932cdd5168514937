"""Fully sharded data parallelism: the weights of one process out of slices, gathered ahead and freed after use."""

import pytest
import torch
from torch import nn

from lm.accounting.communication import ring_bytes
from lm.errors import ConfigurationError
from lm.model.linear import Embedding, Linear
from lm.parallel import FSDP, count_traffic
from lm.training.sliced_muon import SlicedMuon
from tests.lm.parallel import cases
from tests.lm.parallel.test_data_parallel import assert_as_alone


def sharded(rank, world_size, model_name, optimizer, num_steps=cases.NUM_STEPS):
    model = cases.MODELS[model_name](seed=rank)
    groups = cases.groups_of(model, optimizer)
    wrapped = FSDP(model)
    groups = wrapped.groups_of_slices(groups)
    if optimizer == "muon":
        named, places = dict(model.named_parameters()), wrapped.slices()
        made = SlicedMuon(groups, places={id(named[n]): places[n] for n in named}, lr=1e-2, eps=1e-3)
    else:
        made = cases.CLASSES[optimizer](groups, lr=1e-2, eps=1e-3)
    steps = cases.microbatches(rank, world_size, cases.batches(num_steps))
    cases.train(model, made, steps, wrapped=wrapped, clip=lambda parameters, norm: wrapped.clip_gradients(norm))
    return wrapped.gather_full_parameters()


@pytest.mark.parametrize(
    ("model", "optimizer"), [("odd", "adamw"), ("transformer", "torch_adamw"), ("transformer", "muon")]
)
def test_ranks_train_as_one_process(ranks, model, optimizer):
    expected = {name: tensor for name, tensor in cases.alone(model, optimizer).items() if name != "shift"}
    assert_as_alone(ranks(sharded, model, optimizer), expected)


def memory_and_traffic(rank, world_size):
    """Bytes of whole parameters before, in the middle of and after a forward pass, and bytes sent in a step."""
    model = cases.transformer(num_layers=6)
    wrapped = FSDP(model)
    seen = {}

    def held():
        return sum(each.whole.untyped_storage().nbytes() for unit in wrapped.units for each in unit._sharded)

    # The first microbatch finds two layers gathered beside its own, and the ones before freed.
    model.layers[3].register_forward_hook(lambda *_: seen.update(middle=held()))
    seen["before"] = held()
    ids, targets = cases.batches(1)[0]
    with count_traffic() as traffic:
        loss = cases.loss_of(wrapped, ids, targets)
        seen["forward"] = held()
        loss.backward()
        wrapped.finish_gradient_synchronization()
    seen["after"] = held()
    kept = sum(p.numel() * 4 for p in model.parameters()), sum(p.grad.numel() * 4 for p in model.parameters())
    return seen, traffic.sent_bytes, kept


def test_layers_are_freed_and_bytes_are_those_of_the_formula(ranks):
    model = cases.transformer(num_layers=6)
    layer = sum(4 * p.numel() for p in model.layers[0].parameters())
    tied = 4 * model.lm_head.weight.numel()
    padded = sum(4 * ranks.world_size * -(-p.numel() // ranks.world_size) for p in model.parameters())
    padded_tied = 4 * ranks.world_size * -(-model.lm_head.weight.numel() // ranks.world_size)
    for seen, sent, (slices, gradients) in ranks(memory_and_traffic):
        assert seen["before"] == seen["after"] == 0
        assert seen["middle"] <= tied + 2 * layer
        assert seen["forward"] == tied  # a shared unit waits for its other gradient
        # Gathered for the forward and for the backward pass, but the tied layer once.
        assert sent["all_gather"] == pytest.approx(ring_bytes("all_gather", 2 * padded - padded_tied, ranks.world_size))
        assert sent["reduce_scatter"] == pytest.approx(ring_bytes("reduce_scatter", padded, ranks.world_size))
        assert slices == gradients <= padded // ranks.world_size


def order_of_gathers(rank, world_size):
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(5)))
    wrapped = FSDP(model)
    states = []
    model[1].register_forward_hook(lambda *_: states.append([unit._is_whole or unit._gathering is not None
                                                             for unit in wrapped.units]))  # fmt: skip
    output = wrapped(torch.ones(2, 4))
    model[1]._parameters["weight"]
    output.sum().backward()
    wrapped.finish_gradient_synchronization()
    return states


def test_two_layers_are_gathered_ahead(two):
    # In the hook of layer 1, after FSDP's own, that layer is free again.
    assert two(order_of_gathers)[0] == [[False, False, True, True, False]]


class Foreign(nn.Module):
    """Layers of other classes, a parameter of the root itself, and one that is used twice."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(5))
        self.embed = Embedding(11, 5)
        self.twice = Linear(5, 5)
        self.out = nn.Linear(5, 3)

    def forward(self, ids):
        x = self.embed(ids) * self.scale
        return self.out(self.twice(torch.tanh(self.twice(x))))


def foreign(rank, world_size, dtype):
    torch.manual_seed(0)
    model = Foreign()
    torch.manual_seed(0)
    plain = Foreign()
    wrapped = FSDP(model, compute_dtype=dtype)
    ids = torch.arange(8).view(4, 2)
    rows = slice(rank * 4 // world_size, (rank + 1) * 4 // world_size)
    output = wrapped(ids[rows])
    output.float().square().mean().backward()
    wrapped.finish_gradient_synchronization()
    plain(ids).square().mean().backward()
    gradients = {}
    for name, parameter in plain.named_parameters():
        own = dict(model.named_parameters())[name]
        _, start, end = wrapped.slices()[name]
        gradients[name] = own.grad, parameter.grad.flatten()[start:end], own.dtype
    with wrapped.full_parameters():
        same = all(torch.equal(a.float(), b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))
    return output.dtype, gradients, same


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_foreign_layers_and_low_precision(two, dtype):
    tolerance = {"rtol": 0, "atol": 1e-7} if dtype is None else {"rtol": 0.1, "atol": 0.01}
    for output, gradients, same in two(foreign, dtype):
        assert output == (dtype or torch.float32)
        assert same == (dtype is None)  # bfloat16 rounds the gathered copy; masters stay float32
        for own, expected, master in gradients.values():
            assert master == torch.float32
            torch.testing.assert_close(own, expected, **tolerance)


def of_two_types(rank, world_size):
    try:
        FSDP(nn.Sequential(nn.Sequential(nn.Linear(2, 2)), nn.ModuleList([nn.ParameterList(
            [torch.zeros(2), torch.zeros(2, dtype=torch.float64)])])))  # fmt: skip
    except ConfigurationError as error:
        return str(error)


def test_a_layer_of_several_types_is_refused(two):
    assert "several types" in two(of_two_types)[0]
