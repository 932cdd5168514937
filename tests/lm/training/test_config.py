"""What `PretrainConfig` refuses."""

import math

import pytest

from lm.configuration import from_mapping, to_mapping
from lm.errors import ConfigurationError
from lm.training import PretrainConfig
from tests.lm.training.corpora import config_of


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_tokens": 5}, "expected exactly one above 0"),
        ({"batch_size": 0}, "batch_size: 0, expected 1 to"),
        ({"model": {"vocab_size": 3}}, "comes from the token shards"),
        ({"learning_rat": 1.0}, "did you mean 'learning_rate'"),
        ({"final_lr_fraction": 1.5}, "final_lr_fraction: 1.5, expected 0 to 1"),
        ({"nesterov": True}, "nesterov: True, expected false unless optimizer is sgd"),
        ({"optimizer": "sgd", "decay_last": True}, "decay_last: True, expected false where optimizer is sgd"),
        ({"skip_spikes": True, "spike_threshold": 0.0}, "skip_spikes: True, expected false without spike_threshold"),
        ({"learning_rate_multipliers": {"embedding": 2}}, r"unknown key 'embedding'; did you mean 'embeddings'\?"),
        ({"learning_rate_multipliers": {"vectors": -1}}, "vectors: -1.0, expected at least 0"),
        ({"source_weights": {"web": 0}}, "source_weights.web: 0.0, expected above 0"),
        ({"packing": "tight"}, "'tight', expected one of 'stream', 'best_fit', 'padded'"),
        ({"decay_share": 0.0}, "decay_share: 0.0, expected above 0 and at most 1"),
        ({"precision": "int8"}, "'int8', expected one of 'auto'"),
        ({"num_steps": -3, "num_tokens": 1_000}, "num_steps: -3, expected at least 0"),
        ({"seed": 2**64}, r"seed: .*, expected an integer below 2\^63, at least 0"),
        ({"num_threads": 10**11}, "num_threads: .*, expected 0 to 4,096"),
        ({"max_gradient_norm": math.inf}, "max_gradient_norm: inf, expected a finite number"),
        ({"source_weights": {"web": math.nan}}, "source_weights.web: nan, expected a finite number, above 0"),
        ({"learning_rate_multipliers": {"vectors": math.inf}}, "vectors: inf, expected a finite number, at least 0"),
    ],
)
def test_impossible_configurations_say_why(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        config_of(**changes)


def test_configuration_survives_its_mapping():
    config = config_of(model={"d_model": 64})
    assert from_mapping(PretrainConfig, to_mapping(config)) == config
