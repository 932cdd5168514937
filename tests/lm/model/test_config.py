import pytest

from lm.configuration import from_mapping, to_mapping
from lm.errors import ConfigurationError
from lm.model import PRESETS, ModelConfig, TransformerLM, preset


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_is_a_possible_model_and_survives_its_mapping(name):
    config = preset(name)
    assert from_mapping(ModelConfig, to_mapping(config)) == config


def test_preset_is_as_large_as_its_name_says():
    import torch

    with torch.device("meta"):
        assert TransformerLM(preset("gpt2_124m")).num_parameters == pytest.approx(124e6, rel=0.01)
        assert TransformerLM(preset("llama_1b")).num_parameters == pytest.approx(1.236e9, rel=0.01)


def test_zero_fields_are_filled_in():
    config = preset("test", num_kv_heads=0, d_model=48)
    assert (config.num_kv_heads, config.d_ff, config.d_head) == (4, 128, 12)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"num_heads": 5}, "num_heads: 5 does not divide d_model = 32"),
        ({"num_kv_heads": 3}, "num_kv_heads: 3 does not divide num_heads = 4"),
        ({"d_model": 36, "num_heads": 4}, "cannot pair"),
        ({"vocab_size": 0}, "vocab_size: 0, expected more than 0"),
        ({"num_layer": 2}, "did you mean 'num_layers'"),
        ({"rope_layout": "diagonal"}, "none of 'interleaved', 'half'"),
    ],
)
def test_impossible_shapes_say_why(overrides, message):
    with pytest.raises(ConfigurationError, match=message):
        preset("test", **overrides)


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigurationError, match="did you mean 'tiny_cpu'"):
        preset("tiny_gpu")
