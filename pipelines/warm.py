"""`python -m pipelines.warm`: compile every numba function into the cache, and remove code of older sources."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from lm.compiled import drop_stale_code
from lm.errors import run_command
from lm.progress import track
from lm.tokenizer import warm
from pipelines.classifiers.fasttext_scoring import LinearScorer
from pipelines.classifiers.fasttext_tokens import tokens_of
from pipelines.decontamination.index import EvaluationIndex
from pipelines.decontamination.items import Item
from pipelines.dedup import deduplicate
from pipelines.dedup.lsh import ShingleSets
from pipelines.dedup.minhash import shingle_sets
from pipelines.filters.pii.first_look import first_looks
from pipelines.filters.repetition import repetition_shares
from pipelines.filters.text_statistics import measure

_TEXT = "The miller's 12 geese crossed the river before noon, and the ferryman counted every one of them twice."


def _deduplication() -> None:
    deduplicate([_TEXT, _TEXT, f"{_TEXT} Nobody knew why."])
    first = np.zeros(1, np.int64)
    ShingleSets.of(first, shingle_sets([_TEXT], 5)).jaccard(first, first)


def _decontamination() -> None:
    index = EvaluationIndex([Item(set="warm", item="1", field="text", text=_TEXT)], ngram=13, min_item_words=8)
    index.suspects(pa.array([_TEXT], pa.large_string()))
    index.overlaps(_TEXT)


def _judging() -> None:
    weights = np.zeros(3)
    LinearScorer(
        keys=np.zeros(16, np.uint64),
        ids=np.full(16, -1, np.int64),
        word_sums=weights,
        word_counts=np.ones(3, np.int64),
        weights=weights,
        shape=(1, 0, 0, 2, 2),
    ).scores(tokens_of([_TEXT]))
    first_looks(pa.array([_TEXT], pa.large_string()))
    measure(_TEXT)
    repetition_shares(_TEXT)


STEPS: dict[str, Callable[[], None]] = {
    "tokenizer": warm.warm,
    "deduplication": _deduplication,
    "decontamination": _decontamination,
    "judging": _judging,
}


def main(argv: list[str] | None = None) -> int:
    """Compile every function, with a progress bar."""
    argparse.ArgumentParser(
        prog="python -m pipelines.warm",
        description="Compile every numba function into the cache, and remove code of older sources.",
    ).parse_args(argv)
    for step in track(STEPS.values(), "compile", total=len(STEPS), unit="room"):
        step()
    drop_stale_code()
    return 0


if __name__ == "__main__":
    run_command(main)
