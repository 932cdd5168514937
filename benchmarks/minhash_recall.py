"""LSH recall: candidates and clusters of pairs with a known Jaccard index, against the formula."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.report import Row
from lm.progress import track
from pipelines.dedup import deduplicate, minhash, minhash_reference
from pipelines.dedup.minhash_config import MinHashConfig, preset

_JACCARDS = np.arange(0.3, 0.951, 0.05)
_PAIRS, _NUM_WORDS = 4000, 120
_DEFAULT = MinHashConfig()
_CONFIGS = {
    "the defaults": _DEFAULT,
    "fineweb": preset("fineweb"),
    "128 hashes, 32 bands": MinHashConfig(num_hashes=128, num_bands=32),
}


def recall_rows() -> Iterator[Row]:
    """Yield the largest gap between the share of candidate pairs and 1 − (1 − s^rows)^bands, and the precision of
    joins.
    """
    gaps: dict[str, list[float]] = {name: [] for name in _CONFIGS}
    joined = right = alike = 0
    for number, wanted in enumerate(track(_JACCARDS, "recall", total=_JACCARDS.size, unit="Jaccard index")):
        texts = _pairs(float(wanted), np.random.default_rng(number))
        true = {ngram: _jaccards(texts, ngram) for ngram in {config.ngram for config in _CONFIGS.values()}}
        for name, config in _CONFIGS.items():
            rows = config.num_hashes // config.num_bands
            expected = float(np.mean(1 - (1 - true[config.ngram] ** rows) ** config.num_bands))
            gaps[name].append(abs(float(_met(texts, config).mean()) - expected))
        labels = deduplicate(texts).cluster_ids
        same, duplicates = labels[::2] == labels[1::2], true[_DEFAULT.ngram] >= _DEFAULT.jaccard_threshold
        joined += int((labels != np.arange(labels.size)).sum())  # also texts that joined another pair
        right += int((same & duplicates).sum())
        alike += int(duplicates.sum())
    for name, values in gaps.items():
        yield Row(
            name=f"candidates against the formula, {name}",
            value=100 * max(values),
            unit="points",
            target=2,
            better="lower",
        )
    yield Row(name="precision after verification, the defaults", value=right / max(1, joined), unit="", target=0.99)
    yield Row(name="recall of pairs from the threshold on, the defaults", value=right / max(1, alike), unit="")


def _pairs(wanted: float, generator: np.random.Generator) -> list[str]:
    """Return pairs of texts whose 5-gram sets have about the Jaccard index `wanted`; the second ends differently.

    With c words of n in common at the front, s = (c − 4) / (2(n − 4) − (c − 4)); 3-gram sets have about the same.
    """
    shared = round(2 * (_NUM_WORDS - 4) * wanted / (1 + wanted)) + 4
    texts = []
    for pair in range(_PAIRS):
        moved = int(generator.integers(-3, 4))
        common = min(_NUM_WORDS, max(5, shared + moved))
        words = generator.integers(0, 10**9, 2 * _NUM_WORDS - common)
        front = [f"p{pair}w{word}" for word in words[:common]]
        back = [f"p{pair}w{word}" for word in words[common:]]
        own = _NUM_WORDS - common
        texts += [" ".join(front + back[:own]), " ".join(front + back[own:])]
    return texts


def _jaccards(texts: list[str], ngram: int) -> npt.NDArray[np.float64]:
    """Return the true Jaccard index of each pair."""
    pairs = zip(texts[::2], texts[1::2], strict=True)
    return np.array([minhash_reference.jaccard(*pair, ngram) for pair in pairs])


def _met(texts: list[str], config: MinHashConfig) -> npt.NDArray[np.bool_]:
    """Return whether each pair shares a bucket in any band."""
    keys = minhash.bands(minhash.sign(pa.array(texts, pa.large_string()), config), config).keys
    met: npt.NDArray[np.bool_] = (keys[:, ::2] == keys[:, 1::2]).any(axis=0)
    return met
