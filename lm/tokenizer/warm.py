"""`python -m lm.tokenizer.warm`: compile every numba function of the tokenizer into the cache."""

from __future__ import annotations

import sys

import numpy as np

_TEXT = "The same words, the same 1799 words: they'd é 中 😀\n\n  and a long one "


def warm() -> None:
    """Train and encode, so that each function is compiled for the types of every later call."""
    from lm.tokenizer import train_bpe
    from lm.tokenizer.training.count import PreTokenCounts

    tokenizer = train_bpe([_TEXT], 270, ["<|endoftext|>"], num_threads=2)
    tokenizer.decode(tokenizer.encode_array(_TEXT + 200 * "a"))
    counts = PreTokenCounts()
    strings = np.arange(2**13, dtype=">u4").view(np.uint8)  # so many distinct ones that the table grows
    counts.add(strings, 0, np.arange(4, strings.size + 4, 4))
    train_bpe([f"{i:x}" for i in range(3_000)], 600, [], num_threads=1)  # room for pairs and places grows


def main() -> int:
    """Compile."""
    warm()
    return 0


if __name__ == "__main__":
    sys.exit(main())
