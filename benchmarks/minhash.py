"""Near-duplicates: speed of signatures against datasketch and rensa, candidates against the formula, clustering time
and memory, and the cost of a whole corpus.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.minhash_clusters import cluster_rows
from benchmarks.minhash_corpus import corpus_rows
from benchmarks.minhash_recall import recall_rows
from benchmarks.minhash_signing import signing_rows
from benchmarks.report import Row, finish, parser
from lm.errors import run_command


def rows() -> Iterator[Row]:
    """Yield every row, part by part."""
    yield from signing_rows()
    yield from recall_rows()
    yield from cluster_rows()
    yield from corpus_rows()


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("minhash", (__doc__ or "").strip())
    return finish("minhash", rows(), options.parse_args(argv))


if __name__ == "__main__":
    run_command(main)
