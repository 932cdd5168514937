"""Recipes: what a run takes from its preset, and what it keeps of its own."""

import dataclasses

import pytest

from lm.accounting import training_memory
from lm.configuration import from_mapping, to_mapping
from lm.errors import ConfigurationError
from lm.model.presets import PRESETS
from lm.training.config import PretrainConfig
from lm.training.recipes import RECIPES


def test_the_readmes_run_of_gpt2_is_one_that_gpt2_was_trained_by():
    config = PretrainConfig(preset="gpt2_124m", num_tokens=10_000_000_000)
    assert config.batch_size * 1_024 == 2**19 and config.steps(1_024) == 19_074
    assert (config.optimizer, config.learning_rate, config.final_lr_fraction) == ("adamw", 6e-4, 0.1)
    assert (config.warmup_steps, config.precision, config.compile) == (715, "bfloat16", "auto")
    assert config.microbatch_size == 32 and (config.beta2, config.weight_decay) == (0.95, 0.1)


def test_a_rate_alone_is_a_setting():
    assert PretrainConfig(preset="gpt2_124m", num_steps=1, learning_rate=6e-4).learning_rate == 6e-4
    assert PretrainConfig(num_steps=1, learning_rate=6e-5).final_lr_fraction == 0.1


@pytest.mark.parametrize("name", PRESETS)
def test_every_recipe_fits_a_gpu_of_80_gb_and_survives_its_mapping(name):
    config = PretrainConfig(preset=name, num_tokens=10**9)
    assert from_mapping(PretrainConfig, to_mapping(config)) == config == dataclasses.replace(config)
    shape = config.model_config(PRESETS[name]["vocab_size"])
    assert config.batch_size * shape.context_length == RECIPES[name].batch_tokens
    at_once = config.microbatch_size or config.batch_size
    memory = training_memory(shape, at_once, precision="bfloat16")
    kept = shape.num_layers if config.recomputation == "blocks" else 1  # else only a layer's input, and one layer whole
    assert memory.total - memory.activations + memory.activations / kept < 80e9
    assert at_once * shape.context_length <= 2**15


def test_a_batch_keeps_its_tokens_in_another_context():
    short = PretrainConfig(preset="gpt2_124m", num_steps=1, model={"context_length": 256})
    assert (short.batch_size, short.microbatch_size) == (2_048, 128)
    assert PretrainConfig(preset="qwen3_0_6b", num_steps=1).model_config(512).context_length == 4_096
    longer = PretrainConfig(preset="qwen3_0_6b", num_steps=1, model={"context_length": 8_192})
    assert longer.model_config(512).context_length == 8_192 and longer.batch_size == 128


def test_settings_of_its_own_stand_and_open_ones_may_be_null():
    config = from_mapping(PretrainConfig, {"num_steps": 1, "batch_size": 3, "optimizer": None, "compile": "off"})
    assert (config.batch_size, config.optimizer, config.compile, config.learning_rate) == (3, "muon", "off", 1e-2)
    with pytest.raises(ConfigurationError, match=r"num_steps: None is a NoneType"):
        from_mapping(PretrainConfig, {"num_steps": None})


def test_an_impossible_model_is_refused_with_the_run():
    for model, message in (
        ({"d_model": -1}, "model.d_model: -1, expected 1 to"),
        ({"d_modle": 3}, "did you mean 'd_model'"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            PretrainConfig(num_steps=1, model=model)
