import dataclasses

import pytest
import torch

from lm.configuration import from_mapping, to_mapping
from lm.errors import ConfigurationError
from lm.model import PRESETS, ModelConfig, TransformerLM, preset


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_is_a_possible_model_and_survives_its_mapping(name):
    config = preset(name)
    assert from_mapping(ModelConfig, to_mapping(config)) == config


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("gpt2_124m", 124_439_808),
        ("gpt2_355m", 354_823_168),
        ("gpt2_1558m", 1_557_611_200),
        ("llama_1b", 1_235_814_400),
        ("llama_3b", 3_212_749_824),
        ("qwen3_0_6b", 596_049_920),
        ("qwen3_1_7b", 1_720_574_976),
    ],
)
def test_a_preset_has_exactly_the_weights_of_the_model_it_is_named_after(name, published):
    with torch.device("meta"):
        assert TransformerLM(preset(name)).num_parameters == published


def test_zero_fields_are_filled_in():
    config = preset("test", num_kv_heads=0, d_model=48)
    assert (config.num_kv_heads, config.d_ff, config.d_head) == (4, 128, 12)
    assert preset("test", d_model=48, ffn="relu2").d_ff == 192


def test_the_layer_pattern_repeats():
    config = preset("test", num_layers=7, layer_pattern=["window", "ssm", "full"], window=3)
    kinds = [config.layer_kind(index) for index in range(7)]
    assert kinds == ["window", "ssm", "full", "window", "ssm", "full", "window"]
    assert config.num_attention_layers == 5 and config.window_of(1) == 0 and config.window_of(6) == 3
    hash(config)


def test_a_description_from_before_a_switch_existed_keeps_its_meaning():
    old = {
        "vocab_size": 128, "context_length": 32, "d_model": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2,
        "d_ff": 128, "rope_theta": 10_000.0, "rope_layout": "interleaved", "norm_epsilon": 1e-5,
        "tie_embeddings": False, "attention": "fused",
    }  # fmt: skip
    assert from_mapping(ModelConfig, old) == preset("test")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"num_heads": 5}, "num_heads: 5 does not divide d_model = 32"),
        ({"num_kv_heads": 3}, "num_kv_heads: 3 does not divide num_heads = 4"),
        ({"d_model": 36, "num_heads": 4}, "d_head: 9 .* cannot pair"),
        ({"d_head": 7}, "cannot pair"),
        ({"window": 8}, "window: 8, expected above 0 if layer_pattern has window layers, else 0"),
        ({"layer_pattern": ["window"]}, "window: 0, expected above 0"),
        ({"layer_pattern": ["wide"]}, "layer_pattern: 'wide', expected one of full, window, ssm"),
        ({"layer_pattern": ["full", "full", "full"]}, "expected 1 to num_layers = 2 kinds"),
        ({"layer_pattern": []}, "expected 1 to num_layers = 2 kinds"),
        ({"layer_pattern": ["ssm"], "d_head": 10}, "a divisor of 2 d_model"),
        ({"d_rope": 4}, "d_rope: 4, expected 0 without latent_rank"),
        ({"latent_rank": 8, "d_rope": 4}, "num_kv_heads: 2, expected num_heads"),
        ({"latent_rank": 8, "num_kv_heads": 4}, "d_rope: 0, expected an even number above 0"),
        ({"latent_rank": 8, "num_kv_heads": 4, "d_rope": 4, "position": "none"}, "expected 0 with position = none"),
        ({"latent_rank": 8, "num_kv_heads": 4, "d_rope": 4, "qk_norm": True}, "normalizes the latent vectors"),
        ({"latent_rank": 8, "num_kv_heads": 4, "d_rope": 4, "bias": True}, "has no biases"),
        ({"num_experts": 2, "experts_per_token": 3}, "at most num_experts = 2"),
        ({"num_experts": 4, "bias": True}, "experts have no biases"),
        ({"rope_factor": 8.0}, "rope_original_context: 0, expected more than 0"),
        ({"rope_original_context": 8}, "expected 0 with rope_factor = 1"),
        ({"rope_factor": 8.0, "position": "learned"}, "rope_factor: 8.0, expected 1 with position = learned"),
        ({"rope_factor": 0.5}, "at least 1"),
        ({"position": "sinusoidal", "d_model": 33, "num_heads": 3, "num_kv_heads": 3}, "sines and cosines"),
        ({"logit_soft_cap": -1.0}, "logit_soft_cap: -1.0, expected at least 0"),
        ({"vocab_size": 0}, "vocab_size: 0, expected 1 to"),
        ({"num_layer": 2}, "did you mean 'num_layers'"),
        ({"rope_layout": "diagonal"}, "expected one of 'interleaved', 'half'"),
        ({"logit_soft_cap": float("inf")}, "logit_soft_cap: inf, expected a finite number"),
        ({"latent_rank": 8, "num_kv_heads": 4, "d_rope": 4, "base_width": 16}, "do not grow with the width"),
    ],
)
def test_impossible_shapes_say_why(overrides, message):
    with pytest.raises(ConfigurationError, match=message):
        preset("test", **overrides)


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigurationError, match="did you mean 'tiny_cpu'"):
        preset("tiny_gpu")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("position", "alibi"),
        ("norm", "rmsnorm"),
        ("norm_placement", "peri"),
        ("ffn", "swish"),
        ("expert_balance", "los"),
        ("attention", "flash"),
        ("num_layers", 2.0),
    ],
)
def test_the_constructor_refuses_what_it_does_not_know(name, value):
    with pytest.raises(ConfigurationError, match=f"model.{name}: {value!r}(, expected one of| is a) "):
        dataclasses.replace(preset("test"), **{name: value})
