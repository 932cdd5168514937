"""The configuration of MinHash, its presets, and the scheme of signatures.

The defaults are those that find most planted edits in real text without a wrong merge (docs/deduplication.md;
`python -m benchmarks.minhash_edits`). The presets are those of the papers, which do not verify candidates: `fineweb`,
Penedo et al. 2024, arXiv:2406.17557, section 3.4; `refinedweb`, Penedo et al. 2023, arXiv:2306.01116, appendix G.3.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from lm.configuration import Doc, Range, settle, unknown_key
from lm.errors import ConfigurationError

FEWEST_WORDS = 5
"""Shorter texts have no signature: one shingle would make duplicates of all pages that read "read more here"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MinHashConfig:
    """Signatures, bands, and the Jaccard threshold of near-duplicates.

    Raises:
        ConfigurationError: at construction, values that cannot work together.
    """

    num_hashes: Annotated[int, Doc("Hash values per signature."), Range(1, 2**20)] = 120
    num_bands: Annotated[
        int, Doc("LSH bands per signature; documents that share a band are candidates."), Range(1, 2**20)
    ] = 30
    ngram: Annotated[int, Doc("Words per shingle."), Range(1, 1_000)] = 3
    jaccard_threshold: Annotated[
        float, Doc("Minimum Jaccard index of near-duplicates; 0 accepts every candidate."), Range(0, 1)
    ] = 0.55
    seed: Annotated[int, Doc("Seed of the permutations."), Range(0, 2**32 - 1)] = 1

    def __post_init__(self) -> None:
        settle(self, "minhash")
        if self.num_hashes % self.num_bands:
            raise ConfigurationError(
                f"minhash.num_hashes: {self.num_hashes} is not a multiple of num_bands {self.num_bands}"
            )


PRESETS: Mapping[str, MinHashConfig] = MappingProxyType(
    {
        "fineweb": MinHashConfig(num_hashes=112, num_bands=14, ngram=5, jaccard_threshold=0),
        "refinedweb": MinHashConfig(num_hashes=9000, num_bands=450, ngram=5, jaccard_threshold=0),
    }
)


def preset(name: str) -> MinHashConfig:
    """Return the preset with this name.

    Raises:
        ConfigurationError: an unknown name.
    """
    if name not in PRESETS:
        raise ConfigurationError(unknown_key(name, PRESETS, "minhash.preset"))
    return PRESETS[name]


def scheme(config: MinHashConfig) -> str:
    """Return one line that names everything a signature depends on."""
    return (
        f"affine32/fnv1a64 words={config.ngram} hashes={config.num_hashes} seed={config.seed} "
        f"unicode={unicodedata.unidata_version}"
    )
