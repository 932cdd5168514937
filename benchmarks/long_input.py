"""CPU time of documents of 50 megabytes and words of a million letters, in every package that reads text."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.report import Row, finish, parser, timed
from lm.errors import run_command
from lm.tokenizer import SPECIAL_TOKENS, Tokenizer, train_bpe
from pipelines.dedup import minhash
from pipelines.dedup.minhash_config import MinHashConfig
from pipelines.filters.heuristics import gopher_violations
from pipelines.filters.repetition import repetition_shares

MOST_SECONDS = 10.0
MOST_GROWTH = 2.6
"""How much longer twice the text may take."""

SIZE = 50_000_000
MILLION = 1_000_000


def repeated(unit: str, num_bytes: int = SIZE) -> str:
    """Return `unit`, repeated up to a size in UTF-8."""
    return unit * (num_bytes // len(unit.encode()))


def numbers(num_words: int = 8_500_000) -> str:
    """Return words that are random numbers; a tenth of the words are distinct."""
    return " ".join([" ".join(map(str, np.random.default_rng(1).integers(0, 100_000, num_words // 10)))] * 10)


def lines_of_words(num_distinct: int) -> str:
    """Return one long line of distinct words, repeated."""
    chooser = random.Random(0)
    return repeated(" ".join(f"word{chooser.randrange(num_distinct)}" for _ in range(500_000)) + "\n")


def tokenizer() -> Tokenizer:
    """Return a small tokenizer with merges of long runs."""
    draw = random.Random(1)
    documents = ["".join(draw.choices("abcd ^  \n", k=2_000)) for _ in range(50)]
    return train_bpe([*documents, "^" * 64, " " * 64], 600, SPECIAL_TOKENS)


def cases() -> Iterator[tuple[str, Callable[[str], object], str]]:
    """Yield names, functions and the functions' long texts."""

    def sign(text: str) -> object:
        return minhash.sign([text], MinHashConfig())

    yield "MinHash, 50 MB of numbers", sign, numbers()
    yield "MinHash, a word of a million letters", sign, "a" * MILLION + " b c d e"
    for unit in ("a", "word and the other ", "#...\n", "中"):
        yield f"Gopher's rules, 50 MB of {unit!r}", gopher_violations, repeated(unit)
    for num_distinct in (1, 100_000):
        yield f"repetition, 50 MB of {num_distinct:,} words", repetition_shares, lines_of_words(num_distinct)
    encode = tokenizer().encode_array
    yield "tokenizer, 50 MB", encode, repeated("abc dab  ^^ badc\n")
    for unit in ("^", " ", "a", "ab", "中"):
        yield f"tokenizer, a million of {unit!r}", encode, unit * (MILLION // len(unit))


def growth(repeats: int = 5) -> float:
    """Return the ratio of the times of two million and one million letters in one pre-token."""
    text = "".join(random.Random(2).choices("abcd", k=2 * MILLION))
    encode = tokenizer().encode_array
    encode(text[:1_000])
    half, whole = (
        min(timed(lambda n=length: encode(text[:n]), time.process_time) for _ in range(repeats))  # type: ignore[misc]
        for length in (MILLION, 2 * MILLION)
    )
    return half and whole / half


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    arguments = parser("long_input", (__doc__ or "").strip()).parse_args(argv)
    rows = []
    for name, function, text in cases():
        function(text[:1_000])  # compile first
        seconds = timed(lambda: function(text), time.process_time)  # noqa: B023 - called at once
        rows.append(Row(name=name, value=seconds, unit="CPU s", target=MOST_SECONDS, better="lower"))
    rows.append(Row(name="tokenizer, twice the text", value=growth(), unit="×", target=MOST_GROWTH, better="lower"))
    return finish("long_input", rows, arguments)


if __name__ == "__main__":
    run_command(main)
