"""Near-duplicates by MinHash: signatures, candidates by bands, the true Jaccard index of what met.

    text → normalised words → shingles of `ngram` words → 64-bit hashes h
    signature[j] = min over the shingles of (a_j * fmix32(h >> 32) + b_j) mod 2**32        (datasketch's "affine32")
    two documents meet where all `num_hashes / num_bands` values of one band are equal:
    P(meet | Jaccard s) = 1 - (1 - s**rows)**bands
    they are duplicates where the Jaccard index of their shingle sets reaches `jaccard_threshold`

Decisions:
- A text too short for one shingle has no signature and meets nothing; two empty signatures would be equal.
- The Jaccard index is that of the sets of 64-bit hashes; two shingles of n share a hash with probability n**2 / 2**65.
- Work on a bucket of more than `MOST_PAIRWISE` documents is bounded (see `minhash_kernels.join_buckets`): each meets up
  to `NUM_REPRESENTATIVES` documents and its predecessor in the order of signatures, which no order of input changes.
- `scheme(config)` names everything a signature depends on; signatures of different schemes refuse to meet.

Sources: Broder 1997, On the resemblance and containment of documents; Leskovec et al., Mining of Massive Datasets,
chapter 3. Presets: `fineweb`, Penedo et al. 2024, arXiv:2406.17557, section 3.4; `refinedweb`, Penedo et al. 2023,
arXiv:2306.01116, appendix G.3. Neither paper verifies candidates; the threshold is ours.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lm.configuration import unknown_key
from lm.errors import ConfigurationError, InputError
from pipelines.clusters import Indices, Mask, Ranking, choose_winners
from pipelines.normalization import folding_table

MOST_PAIRWISE = 64
NUM_REPRESENTATIVES = 16

Texts: TypeAlias = Sequence[str] | pa.Array
Shingles = npt.NDArray[np.uint64]


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Signatures:
    """Signatures `values` [docs, num_hashes] and the scheme that made them; a row that is not `valid` means nothing."""

    scheme: str
    values: npt.NDArray[np.uint32]
    valid: Mask


def sign(texts: Texts, config: MinHashConfig) -> Signatures:
    """Sign every text.

    Raises:
        InputError: a text is no valid Unicode.
    """
    values, valid = signatures(texts, config)
    return Signatures(scheme=scheme(config), values=values, valid=valid)


def signatures(texts: Texts, config: MinHashConfig | None = None) -> tuple[npt.NDArray[np.uint32], Mask]:
    """The signatures [docs, num_hashes] of `texts`, and which texts were long enough to have one.

    Raises:
        InputError: a text is no valid Unicode.
    """
    from pipelines.minhash_kernels import sign_texts

    config = config or MinHashConfig()
    data, offsets = _buffers(texts)
    values = np.full((offsets.size - 1, config.num_hashes), np.iinfo(np.uint32).max, np.uint32)
    valid = np.zeros(offsets.size - 1, np.bool_)
    permutations = _permutations(config.num_hashes, config.seed)
    sign_texts(data, offsets, *folding_table(), config.ngram, *permutations, values, valid)
    return values, valid


def shingle_sets(texts: Texts, ngram: int) -> list[Shingles]:
    """The sorted distinct shingle hashes of every text."""
    from pipelines.minhash_kernels import shingles_of

    data, offsets = _buffers(texts)
    return [
        np.unique(shingles_of(data, start, end, *folding_table(), ngram))
        for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    ]


def join(tables: Sequence[Signatures]) -> Signatures:
    """Signatures of several sources as one.

    Raises:
        InputError: they were not made by one scheme.
    """
    schemes = sorted({table.scheme for table in tables})
    if len(schemes) > 1:
        raise InputError(f"signatures of different schemes cannot meet: '{schemes[0]}' and '{schemes[1]}'")
    return Signatures(
        scheme=schemes[0],
        values=np.concatenate([table.values for table in tables]),
        valid=np.concatenate([table.valid for table in tables]),
    )


@dataclass(frozen=True, slots=True)
class Bands:
    """The band keys [num_bands, docs] of the documents `members` (indices of the caller's), and a key that orders
    documents by what they are rather than where they came."""

    members: Indices
    keys: npt.NDArray[np.uint64]
    content: npt.NDArray[np.uint64]

    def candidates(self) -> Indices:
        """The members that share a bucket with another one."""
        shared = np.zeros(self.members.size, np.bool_)
        for keys in self.keys:
            order = np.argsort(keys, kind="stable")
            same = keys[order[1:]] == keys[order[:-1]]
            shared[order[1:][same]] = True
            shared[order[:-1][same]] = True
        return self.members[shared]


def bands(table: Signatures, config: MinHashConfig, among: Mask | None = None) -> Bands:
    """Put the signed documents into buckets; `among` leaves some out."""
    from pipelines.minhash_kernels import band_keys

    if table.scheme != scheme(config):
        raise InputError(f"signatures of scheme '{table.scheme}' were asked to meet as '{scheme(config)}'")
    chosen = table.valid if among is None else table.valid & among
    members = np.flatnonzero(chosen).astype(np.int64)
    values = table.values[members]
    return Bands(members, band_keys(values, config.num_bands), band_keys(values, 1)[0])


def cluster(buckets: Bands, sets: Mapping[int, Shingles], num_documents: int, config: MinHashConfig) -> Indices:
    """The smallest member of every document's cluster. `sets` holds the shingles of all `buckets.candidates()`."""
    from pipelines.cluster_kernels import label
    from pipelines.minhash_kernels import join_buckets

    parents = np.arange(num_documents, dtype=np.int64)
    held = np.array(sorted(sets), np.int64)
    if held.size == 0:
        return parents
    values = np.concatenate([sets[index] for index in held.tolist()])
    starts = np.concatenate([[0], np.cumsum([sets[index].size for index in held.tolist()])]).astype(np.int64)
    rows = np.searchsorted(buckets.members, held)
    joined = np.arange(held.size, dtype=np.int64)
    for keys in buckets.keys[:, rows]:
        order = np.lexsort((buckets.content[rows], keys))
        join_buckets(joined, order, keys, values, starts, config.jaccard_threshold, MOST_PAIRWISE, NUM_REPRESENTATIVES)
    parents[held] = held[label(joined)]
    return parents


class Deduplication(NamedTuple):
    """`cluster_ids[i]` is the first document of the cluster of document `i`; `kept` has one document of each."""

    cluster_ids: Indices
    kept: Mask


def deduplicate(
    texts: Sequence[str],
    num_hashes: int = 112,
    num_bands: int = 14,
    ngram: int = 5,
    jaccard_threshold: float = 0.8,
    seed: int = 1,
) -> Deduplication:
    """Cluster the near-duplicates among `texts` and keep the longest of each cluster (of equals, the first by code
    points).

    Raises:
        ConfigurationError: parameters that cannot work together.
        InputError: a text is no valid Unicode.
    """
    config = MinHashConfig(
        num_hashes=num_hashes, num_bands=num_bands, ngram=ngram, jaccard_threshold=jaccard_threshold, seed=seed
    )
    column = _column(texts)
    buckets = bands(sign(column, config), config)
    candidates = buckets.candidates()
    sets = dict(zip(candidates.tolist(), shingle_sets(column.take(pa.array(candidates)), ngram), strict=True))
    labels = cluster(buckets, sets, len(texts), config)
    lengths = np.array([len(text) for text in texts], np.int64)
    ranking = Ranking(doc_ids=texts, lengths=lengths, qualities=np.zeros(len(texts)))
    return Deduplication(labels, choose_winners(labels, ranking.positions()) == np.arange(len(texts)))


@functools.lru_cache(maxsize=8)
def _permutations(num_hashes: int, seed: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Multipliers and increments as datasketch draws them from `seed`; an odd multiplier makes a permutation."""
    generator = np.random.RandomState(seed)
    multipliers = generator.randint(0, 2**31, num_hashes, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    increments = generator.randint(0, 2**32, num_hashes, dtype=np.uint32)
    return multipliers, increments


def _column(texts: Texts) -> pa.LargeStringArray:
    if isinstance(texts, pa.Array):
        return texts.cast(pa.large_string())
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError as error:
        raise InputError(f"a text is no valid Unicode: {error.reason} at character {error.start}") from None


def _buffers(texts: Texts) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The UTF-8 bytes of all texts and where each begins; without a copy where they are in Arrow already."""
    column = _column(texts)
    if column.null_count:
        raise InputError(f"{column.null_count} texts are null, expected none")
    _, offsets, data = column.buffers()
    length = len(column) + 1
    if offsets is None or len(column) == 0:
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    positions: npt.NDArray[Any] = np.frombuffer(offsets, np.int64)[column.offset : column.offset + length]
    return (np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)), positions
