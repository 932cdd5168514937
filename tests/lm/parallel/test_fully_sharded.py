"""torch's `fully_shard` behind Loam's interface: the weights of one process, and this rank's slices alone."""

import pytest

from lm.parallel import FSDP, FullySharded
from lm.training.sliced_muon import SlicedMuon
from tests.lm.parallel import cases
from tests.lm.parallel.test_data_parallel import assert_as_alone


def sharded(rank, world_size, model_name, optimizer):
    model = cases.MODELS[model_name](seed=rank)
    groups = cases.groups_of(model, optimizer)
    wrapped = FullySharded(model)
    groups = wrapped.groups_of_slices(groups)
    if optimizer == "muon":
        named, places = dict(wrapped.held.named_parameters()), wrapped.slices()
        places = {id(named[n]): places[n] for n in named}
        made = SlicedMuon(groups, places=places, by_rows=True, lr=1e-2, eps=1e-3)
    else:
        made = cases.CLASSES[optimizer](groups, lr=1e-2, eps=1e-3)
    steps = cases.microbatches(rank, world_size, cases.batches())
    clip = lambda parameters, norm: wrapped.clip_gradients(norm)  # noqa: E731
    cases.train(model, made, steps, wrapped=wrapped, clip=clip)
    return wrapped.gather_full_parameters()


@pytest.mark.parametrize(
    ("model", "optimizer"), [("odd", "adamw"), ("transformer", "torch_adamw"), ("transformer", "muon")]
)
def test_ranks_train_as_one_process(ranks, model, optimizer):
    expected = {name: tensor for name, tensor in cases.alone(model, optimizer).items() if name != "shift"}
    assert_as_alone(ranks(sharded, model, optimizer), expected)


def held(rank, world_size):
    """Of each weight the slice and its place, by torch's way and by Loam's."""
    ways = FullySharded(cases.odd()), FSDP(cases.odd())
    return [
        {name: (tuple(each.slices()[name]), len(parameter)) for name, parameter in named.named_parameters()}
        for each, named in zip(ways, (ways[0].held, ways[1].module), strict=True)
    ]


def test_each_element_lies_on_one_rank(ranks):
    found = ranks(held)
    whole = dict(cases.odd().named_parameters())
    for way in (0, 1):
        for name, weight in whole.items():
            places = [rank[way][name] for rank in found]
            assert all(list(shape) == list(weight.shape) for (shape, _, _), _ in places)
            assert all(length == end - start for (_, start, end), length in places)
            ends = [0, *(end for (_, _, end), _ in places)]
            assert [start for (_, start, end), _ in places if end > start] == [
                ends[i] for i, ((_, start, end), _) in enumerate(places) if end > start
            ]
            assert ends[-1] == weight.numel()
