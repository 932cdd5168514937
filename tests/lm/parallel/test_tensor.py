"""Tensor parallelism, alone and with data parallelism: the weights of one process."""

import pytest
import torch

from lm.errors import ConfigurationError
from lm.model import TransformerLM, preset
from lm.parallel import DDP, TensorParallel, count_traffic, grid
from lm.training import AdamW, clip_gradients
from tests.lm.parallel import cases
from tests.lm.parallel.test_data_parallel import assert_as_alone

VOCAB, SEQ = 48, 12
SHAPES = {
    "gated, tied": {"tie_embeddings": True, "qk_norm": True},
    "plain, biased": {"tie_embeddings": False, "ffn": "gelu", "bias": True, "norm": "layer"},
}


def model_of(shape):
    torch.manual_seed(0)
    config = preset("test", vocab_size=VOCAB, context_length=SEQ, num_heads=4, num_kv_heads=4, **SHAPES[shape])
    return TransformerLM(config)


def steps():
    random = torch.Generator().manual_seed(2)
    return torch.randint(0, VOCAB, (cases.NUM_STEPS, cases.BATCH, SEQ + 1), generator=random)


def optimizer_of(model):
    return AdamW(model.parameters(), lr=1e-2, eps=1e-3)


def alone(shape):
    model = model_of(shape)
    optimizer = optimizer_of(model)
    for ids in steps():
        optimizer.zero_grad(set_to_none=True)
        logits = model(ids[:, :-1])
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
        clip_gradients(model.parameters(), cases.MAX_NORM)
        optimizer.step()
    return dict(cases.weights(model))


def split(rank, world_size, shape, tensor_ranks):
    data, tensor = grid(tensor_ranks)
    model = model_of(shape)
    parallel = TensorParallel(model, tensor)
    replicas = DDP(parallel, group=data) if tensor_ranks < world_size else None
    optimizer = optimizer_of(model)
    share = cases.BATCH * tensor_ranks // world_size
    first = rank // tensor_ranks * share
    for ids in steps():
        own = ids[first : first + share]
        optimizer.zero_grad(set_to_none=True)
        (replicas or parallel)(own[:, :-1], own[:, 1:]).mean().backward()
        if replicas is not None:
            replicas.finish_gradient_synchronization()
        parallel.clip_gradients(cases.MAX_NORM)
        optimizer.step()
    return parallel.gather_full_parameters(), sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("world_size", "tensor_ranks"), [(2, 2), (4, 4), (4, 2)])
def test_ranks_train_as_one_process(pools, world_size, tensor_ranks, shape):
    found = pools[world_size](split, shape, tensor_ranks)
    expected = alone(shape)
    assert_as_alone([weights for weights, _ in found], {name: expected[name] for name in found[0][0]})
    whole = sum(p.numel() for p in model_of(shape).parameters())
    replicated = sum(p.numel() for n, p in model_of(shape).named_parameters() if p.ndim == 1)
    assert all(own <= (whole - replicated) / tensor_ranks + replicated for _, own in found)


def traffic_of(rank, world_size, shape):
    parallel = TensorParallel(model_of(shape))
    ids = steps()[0]
    with count_traffic() as traffic:
        losses = parallel(ids[:, :-1], ids[:, 1:])
        forward = dict(traffic.num_calls)
        losses.mean().backward()
    return forward, traffic.num_calls, traffic.total_bytes


def test_a_layer_sends_four_times_its_stream(ranks):
    from lm.accounting.communication import ring_bytes

    shape = "plain, biased"
    config = model_of(shape).config
    stream = 4 * cases.BATCH * SEQ * config.d_model
    numbers = 3 * 4 * cases.BATCH * SEQ  # the maximum, the normalizer and the target's logit
    for forward, both, total in ranks(traffic_of, shape):
        assert forward == {"all_reduce": 2 * config.num_layers + 1 + 3}
        assert both == {"all_reduce": 4 * config.num_layers + 1 + 3 + 1}
        sent = (4 * config.num_layers + 2) * stream + numbers
        assert total == pytest.approx(ring_bytes("all_reduce", sent, ranks.world_size))


def refusals(rank, world_size):
    found = []
    for changes in ({"num_heads": 4, "num_kv_heads": 1}, {"vocab_size": 49}, {"num_experts": 2, "experts_per_token": 1},
                    {"d_ff": 33}):  # fmt: skip
        config = {"vocab_size": VOCAB, "num_heads": 4, "num_kv_heads": 4, **changes}
        try:
            TensorParallel(TransformerLM(preset("test", **config)))
        except ConfigurationError as error:
            found.append(str(error))
    try:
        grid(3)
    except ConfigurationError as error:
        found.append(str(error))
    return found


def test_shapes_that_do_not_divide_are_refused(two):
    heads, vocabulary, experts, inner, axes = two(refusals)[0]
    assert heads == "model.num_kv_heads: 1, expected a multiple of tensor_parallel = 2"
    assert "model.vocab_size: 49" in vocabulary and "model.d_ff: 33" in inner
    assert "MixtureOfExperts, expected a single feed-forward layer" in experts
    assert axes == "tensor_ranks: 3, expected a divisor of the 2 ranks"
