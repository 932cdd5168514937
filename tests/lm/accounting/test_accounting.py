import pytest
import torch

from lm.accounting import (
    activation_bytes_per_token,
    count_parameters,
    kv_cache_bytes,
    measured_matmul_flops,
    model_flops_utilization,
    training_seconds,
)
from lm.accounting.activations import mask_bytes
from lm.accounting.throughput import peak_flops
from lm.inference.kv_cache import KVCache
from lm.kernels.cross_entropy import linear_cross_entropy
from lm.model import PRESETS, TransformerLM, preset
from tests.lm.model.variants import VARIANTS

every_variant = pytest.mark.parametrize("switches", VARIANTS.values(), ids=VARIANTS)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_counted_parameters_are_the_models(name):
    with torch.device("meta"):
        model = TransformerLM(preset(name))
    count = count_parameters(preset(name))
    assert count.total == model.num_parameters
    assert count.feed_forward == sum(p.numel() for n, p in model.named_parameters() if ".ffn." in n)
    assert count.attention == sum(p.numel() for n, p in model.named_parameters() if ".attn." in n)


@every_variant
def test_counted_parameters_are_those_of_every_variant(switches):
    with torch.device("meta"):
        model = TransformerLM(preset("test", **switches))
    count, sizes = count_parameters(model.config), {n: p.numel() for n, p in model.named_parameters()}
    for part, where in (("attention", ".attn."), ("state_space", ".ssm."), ("feed_forward", ".ffn."), ("norms", "ln")):
        assert getattr(count, part) == sum(size for name, size in sizes.items() if where in name), part
    assert count.total == model.num_parameters
    experts = sum(size for name, size in sizes.items() if "ffn.w" in name)
    used = model.config.experts_per_token
    assert count.idle == (experts * (4 - used) // 4 if model.config.num_experts else 0)  # of 4


@pytest.mark.parametrize(
    "switches",
    [*VARIANTS.values(), {"num_layers": 4, "d_ff": 320}, {"num_kv_heads": 1, "tie_embeddings": True}],
    ids=[*VARIANTS, "deep", "tied"],
)
def test_counted_activations_are_what_autograd_keeps(switches):
    config = preset("test", **{"d_model": 64, "context_length": 256, **switches})
    model, ids = TransformerLM(config), torch.zeros(3, 257, dtype=torch.long)
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = model.hidden(ids[:, :-1]).flatten(0, 1)
        loss = linear_cross_entropy(hidden, model.lm_head.weight, ids[:, 1:].flatten())
    assert loss.requires_grad
    head_gradient = config.vocab_size * config.d_model * 4
    expected = 3 * 256 * activation_bytes_per_token(config) + mask_bytes(config)
    assert sum(size for size, _ in kept.values()) - head_gradient == pytest.approx(expected, rel=0.01)


@every_variant
def test_cache_bytes_are_those_of_its_tensors(switches):
    model = TransformerLM(preset("test", **switches))
    cache = KVCache(model.config, batch=1, capacity=20)
    with torch.no_grad():
        model(torch.zeros(1, 20, dtype=torch.long), kv_cache=cache)
    states = [tensor for state in cache.states.values() for tensor in state]
    assert kv_cache_bytes(model.config, 20) == sum(t.numel() * 4 for t in (cache._keys, cache._values, *states))


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("NVIDIA H100 80GB HBM3", 989.5e12),
        ("NVIDIA H100 PCIe", 756.5e12),
        ("NVIDIA H100 NVL", 835.5e12),
        ("NVIDIA H200", 989.5e12),
        ("NVIDIA H200 NVL", 835.5e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA GeForce RTX 4090", None),
    ],
)
def test_peak_rates_are_those_of_the_form_factor(name, rate, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert peak_flops(torch.device("cuda")) == rate


def test_time_and_utilization_are_inverse():
    config = preset("gpt2_124m")
    seconds = training_seconds(config, 1e9, 989.5e12, 0.4)
    assert model_flops_utilization(config, 1e9 / seconds, 989.5e12) == pytest.approx(0.4)
    assert measured_matmul_flops(torch.device("cpu"), size=64, seconds=0.01) > 1e6
