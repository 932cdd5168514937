"""How documents are signed and how alike they must be: the configuration, its presets, and the scheme that it makes.

Sources of the presets: `fineweb`, Penedo et al. 2024, arXiv:2406.17557, section 3.4; `refinedweb`, Penedo et al. 2023,
arXiv:2306.01116, appendix G.3. Neither verifies candidates; the threshold is ours.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lm.configuration import unknown_key
from lm.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True, slots=True)
class MinHashConfig:
    """How documents are signed, and how alike they must be. Defaults are those of FineWeb, threshold apart.

    Raises:
        ConfigurationError: at construction, values that cannot work together.
    """

    num_hashes: int = 112
    """Values in a signature."""
    num_bands: int = 14
    """Bands that the signature is cut into; two documents meet where one band is equal."""
    ngram: int = 5
    """Words in a shingle."""
    jaccard_threshold: float = 0.8
    """Documents that met are duplicates from this Jaccard index on."""
    seed: int = 1
    """Draws the permutations."""

    def __post_init__(self) -> None:
        for name in ("num_hashes", "num_bands", "ngram"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"minhash.{name}: {getattr(self, name)}, expected at least 1")
        if self.num_hashes % self.num_bands:
            raise ConfigurationError(
                f"minhash.num_hashes: {self.num_hashes} is no multiple of num_bands {self.num_bands}"
            )
        if not 0 < self.jaccard_threshold <= 1:
            raise ConfigurationError(
                f"minhash.jaccard_threshold: {self.jaccard_threshold}, expected more than 0 and at most 1"
            )
        if not 0 <= self.seed < 2**32:
            raise ConfigurationError(f"minhash.seed: {self.seed}, expected 0 to {2**32 - 1}")


PRESETS: Mapping[str, MinHashConfig] = MappingProxyType(
    {
        "fineweb": MinHashConfig(num_hashes=112, num_bands=14, ngram=5),
        "refinedweb": MinHashConfig(num_hashes=9000, num_bands=450, ngram=5),
    }
)


def preset(name: str) -> MinHashConfig:
    """A named configuration.

    Raises:
        ConfigurationError: an unknown name.
    """
    if name not in PRESETS:
        raise ConfigurationError(unknown_key(name, PRESETS, "minhash.preset"))
    return PRESETS[name]


def scheme(config: MinHashConfig) -> str:
    """Everything that a signature depends on, in one line."""
    return (
        f"affine32/fnv1a64 words={config.ngram} hashes={config.num_hashes} seed={config.seed} "
        f"unicode={unicodedata.unidata_version}"
    )
