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

_JACCARDS = np.arange(0.5, 0.951, 0.05)
_PAIRS, _NUM_WORDS = 4000, 120
_CONFIGS = {"fineweb": preset("fineweb"), "128 hashes, 32 bands": MinHashConfig(num_hashes=128, num_bands=32)}


def recall_rows() -> Iterator[Row]:
    """Yield the largest gap between the share of candidate pairs and 1 − (1 − s^rows)^bands, and the precision of
    joins.
    """
    gaps: dict[str, list[float]] = {name: [] for name in _CONFIGS}
    joined = right = alike = found = 0
    for number, wanted in enumerate(track(_JACCARDS, "recall", total=_JACCARDS.size, unit="Jaccard index")):
        texts = _pairs(float(wanted), np.random.default_rng(number))
        true = np.array([minhash_reference.jaccard(*pair, 5) for pair in zip(texts[::2], texts[1::2], strict=True)])
        for name, config in _CONFIGS.items():
            rows = config.num_hashes // config.num_bands
            expected = float(np.mean(1 - (1 - true**rows) ** config.num_bands))
            gaps[name].append(abs(float(_met(texts, config).mean()) - expected))
        labels = deduplicate(texts).cluster_ids
        same = labels[::2] == labels[1::2]
        joined += int((labels != np.arange(labels.size)).sum())  # also those who joined another pair
        right += int((same & (true >= 0.8)).sum())
        alike, found = alike + int((true >= 0.8).sum()), found + int((same & (true >= 0.8)).sum())
    for name, values in gaps.items():
        yield Row(
            name=f"candidates against the formula, {name}",
            value=100 * max(values),
            unit="points",
            target=2,
            better="lower",
        )
    yield Row(name="precision after verification, threshold .8", value=right / max(1, joined), unit="", target=0.99)
    yield Row(name="recall of pairs from .8 on, fineweb", value=found / max(1, alike), unit="")


def _pairs(wanted: float, generator: np.random.Generator) -> list[str]:
    """Return pairs of texts whose 5-gram sets have about the Jaccard index `wanted`; the second ends differently.

    With c words of n in common at the front, s = (c − 4) / (2(n − 4) − (c − 4)).
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


def _met(texts: list[str], config: MinHashConfig) -> npt.NDArray[np.bool_]:
    """Return whether each pair shares a bucket in any band."""
    keys = minhash.bands(minhash.sign(pa.array(texts, pa.large_string()), config), config).keys
    met: npt.NDArray[np.bool_] = (keys[:, ::2] == keys[:, 1::2]).any(axis=0)
    return met
