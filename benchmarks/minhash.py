"""Near-duplicates: how fast texts are signed beside datasketch and rensa, whether candidates come as the formula says,
how fast and in what memory band rows become clusters, and what a corpus costs from end to end."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.minhash_clusters import cluster_rows
from benchmarks.minhash_corpus import corpus_rows
from benchmarks.minhash_recall import recall_rows
from benchmarks.minhash_signing import signing_rows
from benchmarks.report import Row, finish, parser
from lm.errors import run_command


def rows() -> Iterator[Row]:
    """Every row, part by part."""
    yield from signing_rows()
    yield from recall_rows()
    yield from cluster_rows()
    yield from corpus_rows()


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    options = parser("minhash", (__doc__ or "").strip())
    return finish("minhash", rows(), options.parse_args(argv))


if __name__ == "__main__":
    run_command(main)
