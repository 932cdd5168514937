"""Tokenizer speed: training, encoding and decoding, against tiktoken, Hugging Face tokenizers, rustbpe and
gigatoken.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.report import Row, finish, parser
from benchmarks.tokenizer_encoding import encoding_rows, startup_rows
from benchmarks.tokenizer_texts import corpora, tokenizer_to_measure
from benchmarks.tokenizer_training import memory_rows, training_rows
from lm.errors import run_command


def rows() -> Iterator[Row]:
    """Yield every row, part by part."""
    texts = corpora()
    tokenizer = tokenizer_to_measure(texts[0].texts)
    yield from startup_rows(tokenizer)
    for corpus in texts:
        yield Row(name=f"{corpus.name}: size", value=corpus.size_bytes / 1e6, unit="MB")
        yield from encoding_rows(corpus, tokenizer)
        yield from training_rows(corpus.name, corpus.texts)
    yield from memory_rows()


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("tokenizer", (__doc__ or "").strip())
    return finish("tokenizer", rows(), options.parse_args(argv))


if __name__ == "__main__":
    run_command(main)
