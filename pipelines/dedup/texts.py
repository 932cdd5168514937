"""Near-duplicate removal among texts in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.dedup import lsh
from pipelines.dedup.clusters import Indices, Mask, Ranking, choose_winners
from pipelines.dedup.minhash import bands, shingle_sets, sign
from pipelines.dedup.minhash_config import MinHashConfig
from pipelines.documents.text_buffers import text_column


class Deduplication(NamedTuple):
    """`cluster_ids[i]` is the first document of the cluster of document `i`; `kept` has one document of each."""

    cluster_ids: Indices
    kept: Mask


def deduplicate(
    texts: Sequence[str],
    num_hashes: int = 120,
    num_bands: int = 30,
    ngram: int = 3,
    jaccard_threshold: float = 0.55,
    seed: int = 1,
) -> Deduplication:
    """Cluster the near-duplicates among `texts` and keep the longest of each cluster (of equals, the first by code
    points).

    Raises:
        ConfigurationError: parameters that cannot work together.
        InputError: a text is not valid Unicode.
    """
    config = MinHashConfig(
        num_hashes=num_hashes, num_bands=num_bands, ngram=ngram, jaccard_threshold=jaccard_threshold, seed=seed
    )
    column = text_column(texts)
    table = bands(sign(column, config), config)
    found = lsh.find_buckets([table])
    met = np.flatnonzero(lsh.candidates(found, len(column)))
    sets = lsh.ShingleSets.of(met, shingle_sets(column.take(pa.array(met)), ngram))
    content = np.zeros(len(column), np.uint64)
    content[table.members] = table.content
    labels = lsh.cluster(found, sets, content, jaccard_threshold)
    lengths = pc.utf8_length(column).to_numpy()
    ranking = Ranking(doc_ids=column, lengths=lengths, qualities=np.zeros(len(column)))
    return Deduplication(labels, choose_winners(labels, ranking.positions()) == np.arange(len(column)))
