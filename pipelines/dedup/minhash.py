"""Near-duplicates by MinHash: signatures, candidates by bands, and the true Jaccard index of candidates.

    text → normalized words → shingles of `ngram` words → 64-bit hashes h
    signature[j] = min over the shingles of (a_j * fmix32(h >> 32) + b_j) mod 2**32        (datasketch's "affine32")
    two documents are candidates where all `num_hashes / num_bands` values of one band are equal:
    P(candidates | Jaccard s) = 1 - (1 - s**rows)**bands
    they are duplicates where the Jaccard index of their shingle sets reaches `jaccard_threshold`

Decisions:
- A text of fewer than five words has no signature and is never a candidate; two empty signatures would be equal.
- The Jaccard index is that of the sets of 64-bit hashes; two shingles of n share a hash with probability n**2 / 2**65.
- `scheme(config)` names everything a signature depends on; signatures of different schemes are not compared.
- On a GPU the words are still hashed here, on the CPU; the permutations run in `lm.kernels.minhash`. The signatures are
  the same bits, so the scheme does not name the device.

Sources: Broder 1997, On the resemblance and containment of documents; Leskovec et al., Mining of Massive Datasets,
chapter 3. `pipelines.dedup.lsh` finds candidates out of core; `pipelines.dedup.minhash_config` has the presets.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from lm.errors import ConfigurationError, InputError
from pipelines.dedup.clusters import Indices, Mask
from pipelines.dedup.minhash_config import MinHashConfig, scheme
from pipelines.dedup.normalization import folding_table
from pipelines.documents.text_buffers import Texts, text_buffers

Shingles = npt.NDArray[np.uint64]
Device = Literal["cpu", "cuda"]
_SHINGLED_BYTES = 1 << 23
"""Bytes of texts whose shingles are computed at once. The shingles take at most eight times as much memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signatures:
    """Signatures `values` [docs, num_hashes] and the scheme that made them; a row that is not `valid` means nothing."""

    scheme: str
    values: npt.NDArray[np.uint32]
    valid: Mask


def signatures(
    texts: Texts, num_hashes: int = 120, ngram: int = 3, seed: int = 1, *, device: Device = "cpu"
) -> npt.NDArray[np.uint32]:
    """Return the signatures [docs, num_hashes] of `texts`, uint32.

    A text of fewer than `ngram` or five words has no shingle; its row is 2**32 - 1 throughout and means nothing.

    Raises:
        ConfigurationError: parameters that cannot work; no CUDA device where one is asked for.
        InputError: a text is not valid Unicode.
    """
    config = MinHashConfig(num_hashes=num_hashes, num_bands=1, ngram=ngram, seed=seed)
    return sign(texts, config, device=device).values


def sign(texts: Texts, config: MinHashConfig, *, device: Device = "cpu") -> Signatures:
    """Sign every text; `device="cuda"` permutes on the GPU and gives the same bits.

    Raises:
        ConfigurationError: no CUDA device where one is asked for.
        InputError: a text is not valid Unicode.
    """
    data, offsets = text_buffers(texts)
    permute = _permute_on_gpu if device == "cuda" else _permute
    values, valid = permute(data, offsets, config)
    return Signatures(scheme=scheme(config), values=values, valid=valid)


def _permute(
    data: npt.NDArray[np.uint8], offsets: Indices, config: MinHashConfig
) -> tuple[npt.NDArray[np.uint32], Mask]:
    from pipelines.dedup.minhash_kernels import sign_texts

    values = np.full((offsets.size - 1, config.num_hashes), np.iinfo(np.uint32).max, np.uint32)
    valid = np.zeros(offsets.size - 1, np.bool_)
    permutations = _permutations(config.num_hashes, config.seed)
    sign_texts(data, offsets, *folding_table(), config.ngram, *permutations, values, valid)
    return values, valid


def _permute_on_gpu(
    data: npt.NDArray[np.uint8], offsets: Indices, config: MinHashConfig
) -> tuple[npt.NDArray[np.uint32], Mask]:
    from pipelines.dedup.minhash_kernels import mixed_shingles

    try:
        from lm.kernels import minhash as gpu
    except ImportError as error:
        raise ConfigurationError(f"minhash device 'cuda': {error}; expected torch and triton, or 'cpu'") from None
    most = int(((offsets[1:] - offsets[:-1]) // 2 + 1).sum())
    hashes, bounds = np.empty(most, np.uint32), np.empty(offsets.size, np.int64)
    mixed_shingles(data, offsets, *folding_table(), config.ngram, hashes, bounds)
    permutations = _permutations(config.num_hashes, config.seed)
    values = gpu.sign_arrays(hashes[: bounds[-1]], bounds, *permutations)
    return values, bounds[1:] > bounds[:-1]


def shingle_sets(texts: Texts, ngram: int) -> list[Shingles]:
    """Return the sorted distinct shingle hashes of every text."""
    from pipelines.dedup.minhash_kernels import distinct_shingles

    data, offsets = text_buffers(texts)
    sets: list[Shingles] = []
    while len(sets) < offsets.size - 1:
        first = len(sets)
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + _SHINGLED_BYTES, "right")) - 1)
        some = offsets[first : last + 1]
        hashes = np.empty(int(((some[1:] - some[:-1]) // 2 + 1).sum()), np.uint64)
        bounds = np.empty(some.size, np.int64)
        distinct_shingles(data, some, *folding_table(), ngram, hashes, bounds)
        hashes = hashes[: bounds[-1]].copy()
        sets += [hashes[start:end] for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
    return sets


def check_schemes(schemes: Sequence[str]) -> None:
    """Refuse to compare signatures of different schemes.

    Raises:
        InputError: names two of them.
    """
    found = sorted(set(schemes))
    if len(found) > 1:
        raise InputError(f"signatures of different schemes cannot be compared: '{found[0]}' and '{found[1]}'")


def join(tables: Sequence[Signatures]) -> Signatures:
    """Join the signatures of several sources.

    Raises:
        InputError: they were not made by one scheme.
    """
    check_schemes([table.scheme for table in tables])
    return Signatures(
        scheme=tables[0].scheme,
        values=np.concatenate([table.values for table in tables]),
        valid=np.concatenate([table.valid for table in tables]),
    )


@dataclass(frozen=True, slots=True)
class Bands:
    """The band keys [num_bands, docs] of the documents `members` (ascending indices of the caller's), and a key of each
    document's content.
    """

    members: Indices
    keys: npt.NDArray[np.uint64]
    content: npt.NDArray[np.uint64]


def bands(table: Signatures, config: MinHashConfig, among: Mask | None = None) -> Bands:
    """Return the buckets of the documents with signatures; `among` restricts the documents."""
    from pipelines.dedup.minhash_kernels import band_keys

    if table.scheme != scheme(config):
        raise InputError(f"signatures of scheme '{table.scheme}', expected '{scheme(config)}'")
    chosen = table.valid if among is None else table.valid & among
    members = np.flatnonzero(chosen).astype(np.int64)
    values = table.values[members]
    return Bands(members, band_keys(values, config.num_bands), band_keys(values, 1)[0])


@functools.lru_cache(maxsize=8)
def _permutations(num_hashes: int, seed: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return multipliers and increments as datasketch draws them from `seed`; an odd multiplier makes a permutation."""
    generator = np.random.RandomState(seed)
    multipliers = generator.randint(0, 2**31, num_hashes, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    increments = generator.randint(0, 2**32, num_hashes, dtype=np.uint32)
    return multipliers, increments
