"""Configuration of MinHash: invalid values are refused by name, and the presets."""

import pytest

from lm.errors import ConfigurationError
from pipelines.dedup.minhash_config import MinHashConfig, preset


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_hashes": 100, "num_bands": 14}, "minhash.num_hashes: 100 is not a multiple of num_bands 14"),
        ({"ngram": 0}, "minhash.ngram: 0, expected 1 to 1,000"),
        ({"jaccard_threshold": 1.5}, "minhash.jaccard_threshold: 1.5"),
        ({"seed": -1}, "minhash.seed: -1"),
    ],
)
def test_impossible_configurations_are_refused(values, message):
    with pytest.raises(ConfigurationError, match=message):
        MinHashConfig(**values)


def test_presets():
    assert preset("fineweb") == MinHashConfig(num_hashes=112, num_bands=14, ngram=5, jaccard_threshold=0)
    with pytest.raises(ConfigurationError, match="did you mean 'fineweb'"):
        preset("finewep")
