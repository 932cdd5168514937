"""Products of one input joined: the same numbers as apart."""

import pytest
import torch

from lm.errors import ConfigurationError
from lm.model import TransformerLM, attention, mlp, preset, transformer
from lm.model.linear import Linear, joined_linear
from lm.training.muon import Muon
from lm.training.parameter_groups import muon_groups

SHAPES = {
    "grouped queries": {"num_kv_heads": 2},
    "normalized": {"qk_norm": True, "num_kv_heads": 1},
    "biases": {"bias": True, "norm": "layer", "position": "learned", "ffn": "geglu"},
    "sandwich": {"norm_placement": "sandwich", "d_head": 24},
}


@pytest.fixture
def joined(monkeypatch):
    """Models in their form for a GPU, with the references of the kernels."""
    for module in (attention, mlp, transformer):
        monkeypatch.setattr(module, "takes_gpu_path", lambda x: True)


def gradients(settings):
    torch.manual_seed(0)
    model = TransformerLM(preset("test", vocab_size=130, **settings))
    ids = torch.randint(130, (2, 20))
    logits = model(ids)
    logits.square().mean().backward()
    return logits, {name: weight.grad for name, weight in model.named_parameters()}


@pytest.mark.parametrize("settings", SHAPES.values(), ids=SHAPES)
def test_joined_products_give_the_logits_and_gradients_of_separate_ones(settings, request):
    expected, expected_gradients = gradients(settings)
    request.getfixturevalue("joined")
    found, found_gradients = gradients(settings)
    torch.testing.assert_close(found, expected)
    assert found_gradients.keys() == expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(found_gradients[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_one_product_makes_queries_keys_and_values_and_one_makes_gate_and_up(joined, monkeypatch):
    widths = []
    linear = torch.nn.functional.linear

    def counted(x, weight, bias=None):
        widths.append(len(weight))
        return linear(x, weight, bias)

    monkeypatch.setattr(torch.nn.functional, "linear", counted)
    config = preset("test", num_layers=1, vocab_size=130)
    TransformerLM(config)(torch.zeros(1, 4, dtype=torch.long))
    kv = config.num_kv_heads * config.d_head
    assert widths == [config.d_attention + 2 * kv, config.d_model, 2 * config.d_ff, config.d_model, 256]


def test_a_bias_in_some_maps_only_is_refused():
    with pytest.raises(ConfigurationError, match="a bias in some maps only"):
        joined_linear(torch.ones(1, 4), [Linear(4, 4), Linear(4, 4, bias=True)])


def test_muon_still_moves_queries_keys_values_gate_and_up_as_matrices_of_their_own():
    model = TransformerLM(preset("test"))
    own = [group for group in Muon(muon_groups(model, 0.0)).param_groups if group["orthogonal"]]
    moved = {id(parameter) for group in own for parameter in group["params"]}
    layer = model.layers[0]
    parts = (layer.attn.q_proj, layer.attn.k_proj, layer.attn.v_proj, layer.ffn.w1, layer.ffn.w3)
    assert all(id(part.weight) in moved for part in parts)
